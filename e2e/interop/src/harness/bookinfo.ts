import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { eventually } from "@lateen/test-support";
import { CAPTURED_GROUP, capture } from "./capture.ts";
import { ControlPlane, type Pod } from "./control-plane.ts";
import { read, type Via } from "./http.ts";
import { Program, program } from "./programs.ts";
import { startAgent, startEnvoy, startOwn } from "./proxies.ts";

const sample = resolve(import.meta.dirname, "../../../../samples/bookinfo");

/** A file of the Bookinfo sample. */
export function sampleFile(name: string): Promise<string> {
  return readFile(join(sample, name), "utf8");
}

const pod = (app: string, version: string, last: number, more: Partial<Pod> = {}): Pod => ({
  name: `${app}-${version}`,
  namespace: "default",
  address: `127.70.1.${last}`,
  serviceAccount: `bookinfo-${app}`,
  labels: { app, version },
  ports: [{ containerPort: 9080 }],
  mesh: true,
  ...more,
});
const gatewayPod = (flavor: string, last: number): Pod =>
  pod("gateway", flavor, last, {
    namespace: "istio-system",
    serviceAccount: "istio-ingressgateway-service-account",
    labels: { istio: "ingressgateway", app: "istio-ingressgateway", flavor },
    ports: [{ containerPort: 8080 }],
    mesh: false,
  });

/** productpage is behind Envoy; details, reviews and ratings are behind our proxy. */
export const bookinfoPods = {
  productpage: pod("productpage", "v1", 2),
  details: pod("details", "v1", 3),
  ratings: pod("ratings", "v1", 4),
  reviews1: pod("reviews", "v1", 5),
  reviews2: pod("reviews", "v2", 6),
  reviews3: pod("reviews", "v3", 7),
  envoyGateway: gatewayPod("envoy", 20),
  ownGateway: gatewayPod("own", 21),
} as const;

const SYSTEM = `---
apiVersion: v1
kind: Namespace
metadata: { name: istio-system }
---
apiVersion: v1
kind: Service
metadata: { name: istio-ingressgateway, namespace: istio-system }
spec:
  selector: { istio: ingressgateway }
  ports: [{ name: http-alt, port: 8080, targetPort: 8080 }]
`;

/** Bookinfo with a stock Envoy at the page and at the edge. */
export class Bookinfo {
  readonly plane: ControlPlane;
  readonly #stops: (() => Promise<unknown>)[];

  private constructor(plane: ControlPlane, stops: (() => Promise<unknown>)[]) {
    this.plane = plane;
    this.#stops = stops;
  }

  static async start(): Promise<Bookinfo> {
    const folder = await mkdtemp(join(tmpdir(), "lateen-bookinfo-"));
    const stops: (() => Promise<unknown>)[] = [() => rm(folder, { recursive: true, force: true })];
    try {
      const files = await Promise.all(["bookinfo.yaml", "gateway.yaml", "destination-rules.yaml"].map(sampleFile));
      const base = [SYSTEM, ...files].join("\n---\n");
      const plane = await ControlPlane.start(folder, base, Object.values(bookinfoPods), [
        // Issuers change their keys while the tests run.
        ...["--jwks-refresh", "1s"],
      ]);
      stops.push(() => plane.stop());
      const bookinfo = new Bookinfo(plane, stops);
      await bookinfo.#startAll().catch((error: Error) => plane.explain(error));
      return bookinfo;
    } catch (error) {
      for (const stop of stops.reverse()) await stop().catch(() => {});
      throw error;
    }
  }

  async #startAll(): Promise<void> {
    const { productpage, details, ratings, reviews1, reviews2, reviews3, envoyGateway, ownGateway } = bookinfoPods;
    capture(productpage.address, { group: true });
    await Promise.all([
      this.#envoy(productpage, { kind: "sidecar", discovery: "certificate", protocol: "GRPC" }),
      this.#envoy(envoyGateway, { kind: "router", discovery: "agent", protocol: "DELTA_GRPC" }),
      ...[details, ratings, reviews1, reviews2, reviews3].map((one, index) => this.#service(one, 19_090 + index)),
      this.#own(ownGateway, "router", { bindMap: [{ port: 8080, address: ownGateway.address, bindPort: 28_080 }] }),
      this.#productpage(productpage),
    ]);
  }

  async #envoy(of: Pod, options: Parameters<typeof startEnvoy>[4]): Promise<void> {
    const agent = await startAgent(this.plane, of);
    this.#stops.push(() => agent.stop());
    const proxy = await startEnvoy(program("envoy").path ?? "", this.plane, agent, of, options);
    this.#stops.push(() => proxy.stop());
  }

  async #own(of: Pod, kind: "sidecar" | "router", settings: Parameters<typeof startOwn>[3]): Promise<void> {
    const proxy = await startOwn(this.plane, of, kind, settings);
    this.#stops.push(() => proxy.stop());
  }

  /** A service behind our proxy, which the service is told to ask through. */
  async #service(of: Pod, port: number): Promise<void> {
    await Promise.all([
      this.#own(of, "sidecar", { inbound: [{ containerPort: 9080, appAddress: "127.0.0.1", appPort: port }] }),
      this.#application(of, { HOST: "127.0.0.1", PORT: String(port), http_proxy: `http://${of.address}:16001` }),
    ]);
  }

  /** The page: it knows of no proxy, all its connections are captured. */
  async #productpage(of: Pod): Promise<void> {
    const address = async (service: string) => ({
      [`${service.toUpperCase()}_HOSTNAME`]: await this.plane.clusterAddress("default", service),
    });
    const hosts = await Promise.all(["details", "reviews", "ratings"].map(address));
    await this.#application(of, Object.assign({ HOST: of.address, PORT: "9080" }, ...hosts), [
      "setpriv",
      ...["--regid", String(CAPTURED_GROUP), "--clear-groups"],
    ]);
  }

  async #application(of: Pod, env: Record<string, string>, before: readonly string[] = []): Promise<void> {
    const { app = "", version = "" } = of.labels;
    const all = { ...process.env, SERVICE_VERSION: version, POD_NAME: of.name, ...env };
    const running = new Program(of.name, [...before, process.execPath, join(sample, "src", `${app}.mjs`)], all);
    this.#stops.push(() => running.stop());
    await eventually(`${of.name} listens`, async () => {
      running.alive();
      // Not a request: to the page's port it would be captured before its Envoy is there.
      return running.output.includes("listens on") ? true : undefined;
    });
  }

  gateway(flavor: "envoy" | "own"): Via {
    return flavor === "envoy"
      ? { host: bookinfoPods.envoyGateway.address, port: 8080 }
      : { host: bookinfoPods.ownGateway.address, port: 28_080 };
  }

  async stats(of: Pod, filter: string): Promise<string> {
    return (await read({ host: of.address, port: 15_000, path: `/stats?filter=${filter}` })).body;
  }

  async stop(): Promise<void> {
    for (const stop of this.#stops.reverse()) await stop();
  }
}
