import { mkdtemp, rm } from "node:fs/promises";
import http from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "@lateen/test-support";
import { capture } from "./capture.ts";
import { ControlPlane, type Identity, type Pod } from "./control-plane.ts";
import type { Answer, Ask, Via } from "./http.ts";
import { ask } from "./http.ts";
import { noCapture, program } from "./programs.ts";
import { type Agent, type EnvoyOptions, type RunningProxy, startAgent, startEnvoy, startOwn } from "./proxies.ts";
import { startHttp, startTcp, type Upstream } from "./upstream.ts";

/** Why Envoy cannot be tried here; undefined when it can. */
export function noEnvoy(): string | undefined {
  const capture = noCapture();
  if (capture !== undefined) return `no network namespace with capture: ${capture}`;
  const envoy = program("envoy");
  return envoy.path === undefined ? `no Envoy: ${envoy.reason}` : undefined;
}

const pod = (name: string, last: number, labels: Record<string, string>, more: Partial<Pod> = {}): Pod => ({
  name,
  namespace: "default",
  address: `127.70.0.${last}`,
  serviceAccount: "default",
  labels,
  ports: [{ containerPort: 9080 }, { containerPort: 7000 }],
  mesh: true,
  ...more,
});

/** Two pods behind our proxies also are a StatefulSet, whose Service only some tests have. */
const inSet = (index: number) => ({ hostname: `db-${index}`, subdomain: "db" });

/**
 * Pods of the test mesh. `envoy` and `own` are the same workload behind a stock Envoy and behind our proxy; `web-v1` is behind our
 * proxy, `web-v2` and `web-v3` and `legacy` have none. The gateways differ in their label only.
 */
export const pods = {
  envoy: pod("client-envoy", 2, { app: "client", flavor: "envoy" }, { serviceAccount: "client" }),
  own: pod("client-own", 3, { app: "client", flavor: "own", set: "db" }, { serviceAccount: "client", ...inSet(1) }),
  web1: pod("web-v1", 11, { app: "web", version: "v1", set: "db" }, { serviceAccount: "web", ...inSet(0) }),
  web2: pod("web-v2", 12, { app: "web", version: "v2" }, { serviceAccount: "web", mesh: false }),
  web3: pod("web-v3", 13, { app: "web", version: "v3" }, { serviceAccount: "web", mesh: false }),
  legacy: pod("legacy", 14, { app: "legacy" }, { mesh: false }),
  /** What proxies tell of their requests; tests that look at it serve its ports. */
  collector: pod("collector", 15, { app: "collector" }, { mesh: false, ports: [] }),
  envoyGateway: pod("gateway-envoy", 20, { istio: "ingressgateway", flavor: "envoy" }, { mesh: false, ports: [] }),
  ownGateway: pod("gateway-own", 21, { istio: "ingressgateway", flavor: "own" }, { mesh: false, ports: [] }),
} as const satisfies Record<string, Pod>;

/** Services by name: cluster address, ports, selector. All are in `default`. */
const services: Readonly<Record<string, { ip: string; ports: Record<string, number>; app: string }>> = {
  web: { ip: "10.96.0.11", ports: { http: 80, "tcp-raw": 7000, auto: 9080 }, app: "web" },
  api: { ip: "10.96.0.12", ports: { http: 80 }, app: "web" },
  legacy: { ip: "10.96.0.13", ports: { http: 80, tcp: 7000 }, app: "legacy" },
  client: { ip: "10.96.0.14", ports: { http: 9080, tcp: 7000 }, app: "client" },
};
const targets: Readonly<Record<string, number>> = { http: 9080, "tcp-raw": 7000, tcp: 7000, auto: 9080 };

/** Service port → address our sidecar listens on for it; Envoy is reached through the cluster address. */
const ownListeners = Object.entries(services).flatMap(([name, { ports }], index) =>
  Object.values(ports).map((port) => ({
    address: `127.71.0.${index + 1}`,
    port,
    host: `${name}.default.svc.cluster.local`,
    destinationPort: port,
  })),
);

const GATEWAY_SERVICE_PORTS = [80, 443, 7001, 15443];
/** Ports that both gateways' pods listen on, by port of the Gateway server. */
const gatewayTarget = (port: number) => (port < 1024 ? port + 8000 : port);

/** Where proxies log that a Telemetry tells to: standard output of a child process is no file that Envoy could open. */
export const ACCESS_LOG = join(tmpdir(), `lateen-interop-${process.pid}.log`);
const COLLECTOR = "collector.default.svc.cluster.local";

function baseConfig(): string {
  const documents: object[] = ["default", "istio-system"].map((name) => ({
    apiVersion: "v1",
    kind: "Namespace",
    metadata: { name },
  }));
  const mesh = {
    trustDomain: "cluster.local",
    rootNamespace: "istio-system",
    enableAutoMtls: true,
    accessLogFile: "",
    extensionProviders: [
      { name: "file", envoyFileAccessLog: { path: ACCESS_LOG } },
      { name: "zipkin", zipkin: { service: COLLECTOR, port: 9411 } },
      { name: "otel", opentelemetry: { service: COLLECTOR, port: 4318, http: { path: "/v1/traces" } } },
    ],
  };
  documents.push({
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: "istio", namespace: "istio-system" },
    data: { mesh: JSON.stringify(mesh) },
  });
  for (const [name, { ip, ports, app }] of Object.entries(services)) {
    const list = Object.entries(ports).map(([portName, port]) => ({
      ...(portName === "auto" ? { name: "any" } : { name: portName }),
      port,
      targetPort: targets[portName],
    }));
    const spec = { clusterIP: ip, selector: { app }, ports: list };
    documents.push({ apiVersion: "v1", kind: "Service", metadata: { name, namespace: "default" }, spec });
  }
  documents.push({
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: "collector", namespace: "default" },
    spec: {
      clusterIP: "10.96.0.21",
      selector: { app: "collector" },
      ports: [
        { name: "http-zipkin", port: 9411 },
        { name: "http-otlp", port: 4318 },
      ],
    },
  });
  documents.push({
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: "istio-ingressgateway", namespace: "default", labels: { istio: "ingressgateway" } },
    spec: {
      clusterIP: "10.96.0.20",
      selector: { istio: "ingressgateway" },
      ports: GATEWAY_SERVICE_PORTS.map((port) => ({ name: `p-${port}`, port, targetPort: gatewayTarget(port) })),
    },
  });
  return documents.map((document) => `---\n${JSON.stringify(document)}\n`).join("");
}

const MESH_ALPN = ["istio-http/1.1", "istio", "http/1.1"];

/** Both proxies of a kind, and the mesh around them. */
export class InteropMesh {
  readonly plane: ControlPlane;
  readonly #stops: (() => Promise<unknown>)[];
  readonly #agents = new Map<Pod, Agent>();
  readonly #http = new http.Agent({ keepAlive: true, maxSockets: 8 });

  private constructor(plane: ControlPlane, stops: (() => Promise<unknown>)[]) {
    this.plane = plane;
    this.#stops = stops;
  }

  /** @param gateway how the Envoy at the edge asks for its configuration; the Envoy beside the client takes changes only. */
  static async start({ gateway = "GRPC" }: { readonly gateway?: EnvoyOptions["protocol"] } = {}): Promise<InteropMesh> {
    const folder = await mkdtemp(join(tmpdir(), "lateen-interop-"));
    const stops: (() => Promise<unknown>)[] = [() => rm(folder, { recursive: true, force: true })];
    try {
      const plane = await ControlPlane.start(folder, baseConfig(), Object.values(pods));
      stops.push(() => plane.stop());
      const mesh = new InteropMesh(plane, stops);
      await mesh.#startAll(gateway).catch((error: Error) => plane.explain(error));
      return mesh;
    } catch (error) {
      for (const stop of stops.reverse()) await stop().catch(() => {});
      throw error;
    }
  }

  async #startAll(edge: EnvoyOptions["protocol"]): Promise<void> {
    const { envoy, own, web1, web2, web3, legacy, envoyGateway, ownGateway } = pods;
    capture(envoy.address);
    const binary = program("envoy").path ?? "";
    for (const plain of [web2, web3, legacy, envoy]) await this.#application(plain, plain.address, 9080, 7000);
    await this.#application(web1, "127.0.0.1", 19_080, 17_000);
    await this.#application(own, "127.0.0.1", 19_081, 17_001);
    const behind = (http: number, tcp: number) => [
      { containerPort: 9080, appAddress: "127.0.0.1", appPort: http },
      { containerPort: 7000, appAddress: "127.0.0.1", appPort: tcp },
    ];
    const gateway = GATEWAY_SERVICE_PORTS.map(gatewayTarget).map((port) => ({
      port,
      address: ownGateway.address,
      bindPort: ownGatewayPort(port),
    }));
    await Promise.all([
      this.#envoy(binary, envoy, { kind: "sidecar", discovery: "agent", protocol: "DELTA_GRPC" }),
      this.#envoy(binary, envoyGateway, { kind: "router", discovery: "token", protocol: edge }),
      this.#own(web1, "sidecar", { inbound: behind(19_080, 17_000) }),
      this.#own(own, "sidecar", { inbound: behind(19_081, 17_001), services: ownListeners }),
      this.#own(ownGateway, "router", { bindMap: gateway }),
    ]);
  }

  async #application(of: Pod, host: string, httpPort: number, tcpPort: number): Promise<void> {
    const started: Upstream[] = [await startHttp(of.name, host, httpPort), await startTcp(of.name, host, tcpPort)];
    for (const upstream of started) this.#stops.push(() => upstream.close());
  }

  readonly proxies = new Map<Pod, RunningProxy>();

  async #envoy(binary: string, of: Pod, options: Parameters<typeof startEnvoy>[4]): Promise<void> {
    const agent = await this.agent(of);
    const proxy = await startEnvoy(binary, this.plane, agent, of, options);
    this.proxies.set(of, proxy);
    this.#stops.push(() => proxy.stop());
  }

  async #own(of: Pod, kind: "sidecar" | "router", captureBy: Parameters<typeof startOwn>[3]): Promise<void> {
    const proxy = await startOwn(this.plane, of, kind, captureBy);
    this.proxies.set(of, proxy);
    this.#stops.push(() => proxy.stop());
  }

  /** The agent of a pod, started when it is first asked for. */
  async agent(of: Pod): Promise<Agent> {
    const known = this.#agents.get(of);
    if (known !== undefined) return known;
    const agent = await startAgent(this.plane, of);
    this.#agents.set(of, agent);
    this.#stops.push(() => agent.stop());
    return agent;
  }

  /**
   * Puts a text in force beside the base for connections from now on: an Envoy takes listeners before it uses them, and connections that
   * exist keep the filters they were accepted with.
   * @throws Error when an object was refused by validation.
   */
  async apply(text: string): Promise<void> {
    await this.plane.apply(text);
    for (const of of [pods.envoy, pods.envoyGateway]) {
      await eventually(`Envoy of ${of.name} uses what it took`, async () => {
        const stats = await this.proxies.get(of)?.admin("/stats?filter=^listener_manager.total_listeners_warming$");
        return stats === undefined || / 0$/m.test(stats) ? true : undefined;
      });
    }
    this.#http.destroy();
  }

  /** From the workload behind Envoy, to a service's cluster address. */
  throughEnvoy(service: string, port: number): Via {
    const { ip } = services[service] ?? { ip: service };
    return { host: ip, port, from: pods.envoy.address, agent: this.#http };
  }

  /** From the workload behind our proxy. */
  throughOwn(service: string, port: number): Via {
    const listener = ownListeners.find(
      ({ host, port: number }) => host === `${service}.default.svc.cluster.local` && number === port,
    );
    if (listener === undefined) throw new Error(`our sidecar has no listener for ${service}:${port}`);
    return { host: listener.address, port, agent: this.#http };
  }

  /** Through a gateway, by the port of its server. */
  throughGateway(flavor: "envoy" | "own", serverPort: number): Via {
    const port = gatewayTarget(serverPort);
    return flavor === "envoy"
      ? { host: pods.envoyGateway.address, port, agent: this.#http }
      : { host: pods.ownGateway.address, port: ownGatewayPort(port), agent: this.#http };
  }

  /** To the workload's own port, behind Envoy or behind our proxy. */
  inbound(flavor: "envoy" | "own", port: number): Via {
    return { host: (flavor === "envoy" ? pods.envoy : pods.own).address, port };
  }

  /** The same way with mesh mTLS, as a sidecar of this account would ask. */
  async mtls(via: Via, as: { readonly namespace: string; readonly serviceAccount: string }): Promise<Via> {
    const key = `${as.namespace}/${as.serviceAccount}`;
    const known = this.#identities.get(key) ?? this.plane.identity({ ...pods.own, ...as });
    this.#identities.set(key, known);
    const tls = {
      serverName: "outbound_.9080_._.client.default.svc.cluster.local",
      alpn: MESH_ALPN,
      identity: await known,
    };
    return { ...via, tls };
  }
  readonly #identities = new Map<string, Promise<Identity>>();

  ask(request: Ask, via: Via): Promise<Answer> {
    return ask(request, via);
  }

  async stop(): Promise<void> {
    this.#http.destroy();
    for (const stop of this.#stops.reverse()) await stop();
  }
}

/** Envoy binds the port on every address, so ours takes another. */
function ownGatewayPort(port: number): number {
  return port + 20_000;
}
