import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { tlsSecret } from "./certificates.ts";
import { ControlPlane, type Pod } from "./control-plane.ts";
import { program } from "./programs.ts";
import { type RunningProxy, startAgent, startEnvoy } from "./proxies.ts";
import { responseHeaderModule } from "./wasm-module.ts";

/** Where the compiler keeps its goldens. */
export const GOLDENS = `${resolve(import.meta.dirname, "../../../../libs/compiler/goldens")}/`;

const pod = (name: string, last: number, more: Partial<Pod> = {}): Pod => {
  const [app = "", version = ""] = name.split("-");
  return {
    name,
    namespace: "default",
    address: `127.70.3.${last}`,
    serviceAccount: app,
    labels: { app, version },
    ports: [{ containerPort: 9080 }],
    mesh: true,
    ...more,
  };
};

/** The workloads of `shop.yaml` that have a sidecar, and the gateway that its Gateways select; each is a stock Envoy. */
const pods = {
  web: pod("web-v1", 2),
  reviews1: pod("reviews-v1", 3),
  reviews2: pod("reviews-v2", 4),
  db: pod("db-v1", 5, { ports: [{ containerPort: 5432 }, { containerPort: 8443 }] }),
  caller: pod("caller-v1", 6, { namespace: "other", ports: [] }),
  gateway: pod("istio-ingressgateway", 20, {
    namespace: "istio-system",
    serviceAccount: "istio-ingressgateway-service-account",
    labels: { app: "istio-ingressgateway", istio: "ingressgateway" },
    ports: [],
    mesh: false,
  }),
} as const;
/** No sidecar: it is there to be called. */
const bare = pod("bare-v1", 7, { namespace: "other", serviceAccount: "default", labels: { app: "bare" }, mesh: false });

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
  ports: [{ name: http2, port: 80, targetPort: 8080 }, { name: https, port: 443, targetPort: 8443 }]
`;

/** The world of the goldens with a stock Envoy for each of its workloads and for the gateway. */
export class Shop {
  readonly plane: ControlPlane;
  readonly proxies: readonly RunningProxy[];
  /** Folder with the plugins that stand for those of `/etc/wasm`. */
  readonly code: string;
  readonly #stops: (() => Promise<unknown>)[];

  private constructor(
    plane: ControlPlane,
    code: string,
    proxies: readonly RunningProxy[],
    stops: (() => Promise<unknown>)[],
  ) {
    this.plane = plane;
    this.code = code;
    this.proxies = proxies;
    this.#stops = stops;
  }

  static async start(): Promise<Shop> {
    const folder = await mkdtemp(join(tmpdir(), "lateen-shop-"));
    const stops: (() => Promise<unknown>)[] = [() => rm(folder, { recursive: true, force: true })];
    try {
      for (const name of ["auth", "count", "bytes"]) {
        await writeFile(join(folder, `${name}.wasm`), responseHeaderModule("x-wasm", name));
      }
      const base = `${SYSTEM}---\n${await readFile(`${GOLDENS}shop.yaml`, "utf8")}`;
      const plane = await ControlPlane.start(folder, base, [...Object.values(pods), bare]);
      stops.push(() => plane.stop());
      const start = async (of: Pod) => {
        const agent = await startAgent(plane, of);
        stops.push(() => agent.stop());
        const proxy = await startEnvoy(program("envoy").path ?? "", plane, agent, of, {
          kind: of === pods.gateway ? "router" : "sidecar",
          discovery: "agent",
          // One of the two for each kind of proxy that there are several of.
          protocol: of === pods.caller || of === pods.db ? "GRPC" : "DELTA_GRPC",
        });
        stops.push(() => proxy.stop());
        return proxy;
      };
      const proxies = await Promise.all(Object.values(pods).map(start)).catch((error: Error) => plane.explain(error));
      return new Shop(plane, folder, proxies, stops);
    } catch (error) {
      for (const stop of stops.reverse()) await stop().catch(() => {});
      throw error;
    }
  }

  /** Secrets for the credentials that Gateways of a text name. */
  credentials(text: string): string {
    const single = [...text.matchAll(/credentialName: ([\w.-]+)/g)].map(([, name = ""]) => name);
    const lists = [...text.matchAll(/credentialNames: \[([^\]]+)\]/g)].flatMap(([, list = ""]) => list.split(/,\s*/));
    const names = new Set([...single, ...lists]);
    return [...names].map((name) => tlsSecret(name, "istio-system")).join("");
  }

  async stop(): Promise<void> {
    for (const stop of this.#stops.reverse()) await stop();
  }
}
