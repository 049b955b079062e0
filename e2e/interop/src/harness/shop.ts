import { readFileSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { eventually, goldenCases } from "@lateen/test-support";
import { captureAt } from "./capture.ts";
import { edgeCa, tlsSecret } from "./certificates.ts";
import { ControlPlane, type Pod } from "./control-plane.ts";
import { startEcho } from "./echo.ts";
import type { Via } from "./http.ts";
import { program } from "./programs.ts";
import { OWN_PORTS, type RunningProxy, startAgent, startEnvoy, startOwn } from "./proxies.ts";
import { responseHeaderModule } from "./wasm-module.ts";

/** Where the compiler keeps its goldens. */
export const GOLDENS = `${resolve(import.meta.dirname, "../../../../libs/compiler/goldens")}/`;

/** Whose proxies a shop has. */
export type Flavor = "envoy" | "own";
/** Every shop has addresses of its own. */
const NETWORKS: Readonly<Record<Flavor, string>> = { envoy: "127.70.3", own: "127.70.4" };

const pod = (name: string, address: string, more: Partial<Pod> = {}): Pod => {
  const [app = "", version = ""] = name.split("-");
  return {
    name,
    namespace: "default",
    address,
    serviceAccount: app,
    labels: { app, version },
    ports: [{ containerPort: 9080 }],
    mesh: true,
    ...more,
  };
};

/** The workloads of `shop.yaml` that have a sidecar, and the gateway that its Gateways select. */
const shopPods = (network: string): readonly Pod[] => [
  pod("web-v1", `${network}.2`),
  pod("reviews-v1", `${network}.3`),
  pod("reviews-v2", `${network}.4`),
  pod("db-v1", `${network}.5`, { ports: [{ containerPort: 5432 }, { containerPort: 8443 }, { containerPort: 3306 }] }),
  pod("caller-v1", `${network}.6`, { namespace: "other", ports: [] }),
  pod("istio-ingressgateway", `${network}.20`, {
    namespace: "istio-system",
    serviceAccount: "istio-ingressgateway-service-account",
    labels: { app: "istio-ingressgateway", istio: "ingressgateway" },
    ports: [],
    mesh: false,
  }),
];
/** Addresses of workloads behind our proxy. */
export const ownAddresses: readonly string[] = shopPods(NETWORKS.own)
  .slice(0, 5)
  .map(({ address }) => address);

/** Files that cases name: what is below `/etc`, and certificates in the root. */
const FILES = /\/etc\/[\w./-]*\w|(?<![\w.-])\/\w+\.pem\b/g;

/** No sidecar: it is there to be called. */
const bare = (network: string) =>
  pod("bare-v1", `${network}.7`, {
    namespace: "other",
    serviceAccount: "default",
    labels: { app: "bare" },
    mesh: false,
  });

/** Ports of Services whose pods have others. */
const GATEWAY_TARGETS: Readonly<Record<number, number>> = { 80: 8080, 443: 8443 };
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

const isGateway = ({ labels }: Pod) => labels.istio === "ingressgateway" || GATEWAY_LABEL in labels;
const GATEWAY_LABEL = "gateway.networking.k8s.io/gateway-name";

/**
 * Envoys of one machine that bind the ports of capture on every address would share them; each gets its pod's address instead.
 * @param gateway also what gateways bind
 */
function boundTo({ name, namespace, labels, address }: Pod, gateway: boolean): string {
  const value = { address: { socket_address: { address } } };
  // Pods of one workload have equal labels.
  const proxy = { metadata: { NAME: name } };
  const patch = (match: object) => ({ applyTo: "LISTENER", match, patch: { operation: "MERGE", value } });
  const configPatches = gateway
    ? [patch({ context: "GATEWAY" })]
    : [
        patch({ context: "SIDECAR_OUTBOUND", proxy, listener: { name: "virtualOutbound" } }),
        patch({ context: "SIDECAR_INBOUND", proxy, listener: { name: "virtualInbound" } }),
      ];
  return `---\n${JSON.stringify({
    apiVersion: "networking.istio.io/v1alpha3",
    kind: "EnvoyFilter",
    metadata: { name: `bind-${name}`, namespace },
    spec: { workloadSelector: { labels }, configPatches },
  })}\n`;
}

/** What is stopped in the end, the last first. */
type Stops = (() => Promise<unknown>)[];
async function stopAll(stops: Stops): Promise<void> {
  for (const stop of stops.splice(0).reverse()) await stop();
}

/** The world of the goldens, with proxies of one kind for each of its workloads and for the gateway, and applications that tell what they saw. */
export class Shop {
  readonly flavor: Flavor;
  readonly plane: ControlPlane;
  /** Folder with the plugins that stand for those of `/etc/wasm`. */
  readonly code: string;
  readonly #network: string;
  readonly #proxies = new Map<string, RunningProxy>();
  readonly #stops: Stops;

  private constructor(flavor: Flavor, plane: ControlPlane, code: string, stops: Stops) {
    this.flavor = flavor;
    this.#network = NETWORKS[flavor];
    this.plane = plane;
    this.code = code;
    this.#stops = stops;
  }

  static async start(flavor: Flavor): Promise<Shop> {
    const folder = await mkdtemp(join(tmpdir(), `lateen-shop-${flavor}-`));
    const stops: Stops = [() => rm(folder, { recursive: true, force: true })];
    try {
      for (const name of ["auth", "count", "bytes"]) {
        await writeFile(join(folder, `${name}.wasm`), responseHeaderModule("x-wasm", name));
      }
      const network = NETWORKS[flavor];
      const pods = shopPods(network);
      const sidecars = pods.filter((one) => !isGateway(one));
      const binds = flavor === "envoy" ? sidecars.map((one) => boundTo(one, false)).join("") : "";
      const base = `${SYSTEM}${binds}---\n${await readFile(`${GOLDENS}shop.yaml`, "utf8")}`;
      const plane = await ControlPlane.start(folder, base, [...pods, bare(network)]);
      stops.push(() => plane.stop());
      const shop = new Shop(flavor, plane, folder, stops);
      await Promise.all(pods.map((one) => shop.#start(one, stops))).catch((error: Error) => plane.explain(error));
      const bareApp = await startEcho("bare-v1", bare(network).address, 9080);
      stops.push(bareApp.close);
      // Who is told to call applications at the loopback address finds one of them.
      if (flavor === "envoy") stops.push((await startEcho("web-v1", "127.0.0.1", 9080)).close);
      return shop;
    } catch (error) {
      await stopAll(stops).catch(() => {});
      throw error;
    }
  }

  /** A proxy and the applications behind it. */
  async #start(of: Pod, stops: Stops): Promise<void> {
    const gateway = isGateway(of);
    if (!gateway) captureAt(of.address, this.flavor === "own" ? OWN_PORTS : {});
    for (const { containerPort } of of.ports) {
      const { close } = await startEcho(of.name, of.address, containerPort);
      stops.push(close);
    }
    const proxy = this.flavor === "own" ? await this.#own(of, gateway) : await this.#envoy(of, gateway, stops);
    stops.push(() => proxy.stop());
    this.#proxies.set(of.name, proxy);
    stops.push(async () => this.#proxies.delete(of.name));
  }

  #own(of: Pod, gateway: boolean): Promise<RunningProxy> {
    const bindMap = gatewayPorts.map((port) => ({ port, address: of.address, bindPort: ownPort(port) }));
    return gateway
      ? startOwn(this.plane, of, "router", { bindMap })
      : startOwn(this.plane, of, "sidecar", { kernel: true });
  }

  async #envoy(of: Pod, gateway: boolean, stops: Stops): Promise<RunningProxy> {
    const agent = await startAgent(this.plane, of);
    stops.push(() => agent.stop());
    return startEnvoy(program("envoy").path ?? "", this.plane, agent, of, {
      kind: gateway ? "router" : "sidecar",
      discovery: "agent",
      drainsAtOnce: true,
      // One of the two for each kind of proxy that there are several of.
      protocol: of.name.startsWith("caller") || of.name.startsWith("db") ? "GRPC" : "DELTA_GRPC",
    });
  }

  get proxies(): readonly RunningProxy[] {
    return [...this.#proxies.values()];
  }

  has(workload: string): boolean {
    return this.#proxies.has(workload);
  }

  /**
   * Adds workloads until the function returned is called.
   * @param texts their objects where the text of a case does not have them
   */
  async with(
    workloads: readonly ExtraWorkload[],
  ): Promise<{ readonly text: string; start(): Promise<() => Promise<void>> }> {
    const extra = workloads.map(({ address, ...one }, index): Pod => {
      const own = address ?? `${this.#network}.${40 + index}`;
      return pod(one.name, own, { ...one, mesh: true });
    });
    const pods = extra.filter((_, index) => workloads[index]?.address === undefined);
    await this.plane.setPods([...shopPods(this.#network), bare(this.#network), ...pods]);
    const text = this.flavor === "envoy" ? extra.map((one) => boundTo(one, isGateway(one))).join("") : "";
    const start = async () => {
      const stops: Stops = [];
      await Promise.all(extra.map((one) => this.#start(one, stops)));
      return async () => {
        await stopAll(stops);
        await this.plane.setPods([...shopPods(this.#network), bare(this.#network)]);
      };
    };
    return { text, start };
  }

  /** Waits until proxies use what they took: nothing waits for a secret, a route or an endpoint. */
  async settled(): Promise<void> {
    if (this.flavor === "own") return;
    for (const { pod: of, admin } of this.proxies) {
      await eventually(`Envoy of ${of.name} uses what it took`, async () => {
        const stats = await admin("/stats?filter=(total_listeners_warming|warming_clusters)$");
        return stats.split("\n").some((line) => / [1-9]/.test(line)) ? undefined : true;
      });
    }
  }

  /** How a workload reaches an address; through a gateway: how a client outside reaches a port of its Service. */
  via(workload: string, address: string, port: number): Via {
    const proxy = this.#proxies.get(workload);
    if (proxy === undefined) throw new Error(`${workload} has no proxy`);
    const { pod: of } = proxy;
    if (!isGateway(of)) return { host: address, port, from: of.address };
    const target = of.labels.istio === "ingressgateway" ? (GATEWAY_TARGETS[port] ?? port) : port;
    return { host: of.address, port: this.flavor === "own" ? ownPort(target) : target };
  }

  /** The address that a name has for a workload; undefined: it is none of the mesh. */
  async resolve(workload: string, name: string): Promise<string | undefined> {
    const of = this.#proxies.get(workload)?.pod;
    if (of === undefined || isGateway(of)) return undefined;
    const names = await this.plane.names(of);
    const found = [name, `${name}.svc.cluster.local`, `${name}.${of.namespace}.svc.cluster.local`]
      .concat(`${name}.cluster.local`)
      .map((one) => names.get(one)?.[0])
      .find((one) => one !== undefined);
    if (found !== undefined) return found;
    const wildcard = [...names.keys()].find((one) => one.startsWith("*.") && name.endsWith(one.slice(1)));
    return wildcard === undefined ? undefined : names.get(wildcard)?.[0];
  }

  /** The text with files that it names below a folder of this machine, where plugins and certificates are. */
  async onThisMachine(text: string): Promise<string> {
    const files = new Map<string, string>();
    for (const [path] of text.matchAll(FILES)) {
      if (!path.startsWith("/etc/wasm/")) files.set(path, join(this.code, path));
    }
    const { certPem, keyPem } = edgeCa.issue({ dns: ["secure.example"] });
    for (const [path, file] of files) {
      await mkdir(dirname(file), { recursive: true });
      const name = basename(path);
      const content = /crl/.test(name)
        ? edgeCa.revoke()
        : /ca|root/.test(name)
          ? edgeCa.rootPem
          : /key|^k/.test(name)
            ? keyPem
            : certPem;
      await writeFile(file, content, { mode: 0o600 });
    }
    return text
      .replaceAll(FILES, (path) => files.get(path) ?? path)
      .replaceAll("file:///etc/wasm/", `file://${this.code}/`);
  }

  /** Secrets for the credentials that Gateways of a text name. */
  credentials(text: string): string {
    const single = [...text.matchAll(/credentialName: ([\w.-]+)/g)].map(([, name = ""]) => name);
    const lists = [...text.matchAll(/credentialNames: \[([^\]]+)\]/g)].flatMap(([, list = ""]) => list.split(/,\s*/));
    const names = new Set([...single, ...lists]);
    return [...names].map((name) => tlsSecret(name, "istio-system")).join("");
  }

  stop(): Promise<void> {
    return stopAll(this.#stops);
  }
}

/** A workload that only one case has. */
export interface ExtraWorkload extends Pick<Pod, "name" | "namespace" | "serviceAccount" | "labels" | "ports"> {
  /** Of a Pod that the case itself declares; otherwise it is chosen. */
  readonly address?: string;
}

/** Ports that Gateways of the goldens name, and those that the gateway's Service leads to. */
const gatewayPorts: readonly number[] = [
  ...new Set([
    ...Object.values(GATEWAY_TARGETS),
    ...goldenCases(GOLDENS, "input.yaml").flatMap(({ path }) =>
      [...readFileSync(path("input.yaml"), "utf8").matchAll(/\b(?:number|port): (\d+)/g)].map(([, port]) =>
        Number(port),
      ),
    ),
  ]),
];

/** Envoy binds ports of gateways on every address, so ours takes others; low ones it moves anyway. */
function ownPort(port: number): number {
  if (port < 1_024) return port + 10_000;
  return port < 40_000 ? port + 20_000 : port - 20_000;
}
