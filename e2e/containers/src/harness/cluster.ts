import { writeFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { configKinds, isPermitted, type PermittedComponent } from "@lateen/adapter-kubernetes";
import { kinds } from "@lateen/mesh-model";
import {
  type ApiRequest,
  eventually,
  type ReachService,
  startApiServer,
  type TestApiServer,
} from "@lateen/test-support";
import type { Engine } from "./engine.ts";
import { Kubelet, type RunningPod } from "./kubelet.ts";
import type { Pod, PodMetadata, PodSpec } from "./pod.ts";
import { ServiceNetwork, type ServicePort } from "./service-network.ts";
import { writeSecret } from "./volumes.ts";

const PATIENCE_MS = 180_000;
type Json = Readonly<Record<string, unknown>>;

/** An object of the API. */
export interface ApiObject extends Json {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
  };
}

interface ServiceObject {
  readonly metadata: PodMetadata;
  readonly spec: {
    readonly clusterIP?: string;
    readonly selector?: Readonly<Record<string, string>>;
    readonly ports: readonly { readonly name: string; readonly port: number; readonly targetPort?: number | string }[];
  };
}

/**
 * A cluster of one node: an API server in this process, a kubelet, and of controllers what a mesh depends on: addresses of services, which lead to
 * their endpoints, and names. Names are in each container's `/etc/hosts` instead of a DNS server; those of a service without an address of its own
 * stand for its pods.
 */
export class Cluster {
  readonly server: TestApiServer;
  /** What was refused for want of rights. */
  readonly refused: string[] = [];
  readonly #folder: string;
  readonly #kubelet: Kubelet;
  readonly #network: ServiceNetwork;
  readonly #pods = new Map<string, RunningPod>();
  readonly #ready = new Set<RunningPod>();
  readonly #services = new Map<string, ServiceObject>();

  private constructor(engine: Engine, folder: string, server: TestApiServer) {
    this.server = server;
    this.#folder = folder;
    this.#network = new ServiceNetwork(engine.gateway);
    server.tokens.clear();
    server.authorize = (asked) => this.#permits(asked);
    this.#kubelet = new Kubelet({
      engine,
      folder: join(folder, "pods"),
      etc: folder,
      environment: { KUBERNETES_SERVICE_HOST: API_NAME, KUBERNETES_SERVICE_PORT: "443" },
      configMap: (namespace, name) => this.#configMap(namespace, name),
      secret: (namespace, name) => this.#secret(namespace, name),
      token: (pod, audience) => this.#token(pod, audience),
      account: (pod) => this.#account(pod),
    });
    // Nobody answers there, at once: names are in the other file.
    writeFileSync(join(folder, "resolv.conf"), "nameserver 127.0.0.1\n");
    this.#gateway = engine.gateway;
    this.#publish();
  }
  readonly #gateway: string;

  static async start(engine: Engine, folder: string): Promise<Cluster> {
    const resources = configKinds().map((kind) => {
      const { group, versions, plural, scope, writtenAs = kind } = { writtenAs: undefined, ...kinds[kind] };
      return { group, versions, plural, kind: writtenAs, namespaced: scope === "Namespaced", status: true };
    });
    let cluster: Cluster | undefined;
    const reach: ReachService = ({ name, namespace, port }) => {
      const host = cluster?.addressOf(name, namespace);
      return host === undefined ? undefined : { host, port };
    };
    cluster = new Cluster(engine, folder, await startApiServer({ host: engine.gateway, resources, reach }));
    return cluster;
  }

  /** As `kubectl apply`; Services get an address. */
  apply(...objects: readonly ApiObject[]): void {
    for (const object of objects) {
      const placed = object.kind === "Service" ? this.#placed(object as unknown as ServiceObject) : object;
      this.server.apply(placed as unknown as Json);
    }
    this.#publish();
  }

  /** Runs one pod of a template, whole: resolves when it is ready, and its services stand for it. */
  async run(
    template: { readonly metadata: Omit<PodMetadata, "name">; readonly spec: PodSpec },
    name: string,
  ): Promise<RunningPod> {
    const pod: Pod = { apiVersion: "v1", kind: "Pod", ...template, metadata: { ...template.metadata, name } };
    const running = await this.#kubelet.run(pod);
    this.#pods.set(`${pod.metadata.namespace}/${name}`, running);
    this.#writePod(running, false);
    try {
      await running.ready();
    } catch (error) {
      throw new Error(`${(error as Error).message}\n${await this.#logs()}`);
    }
    this.#writePod(running, true);
    this.#ready.add(running);
    this.#writeEndpoints();
    return running;
  }

  /** Address of a service. @returns undefined when there is none. */
  addressOf(name: string, namespace: string): string | undefined {
    return this.#services.get(`${namespace}/${name}`)?.spec.clusterIP;
  }

  /** A pod that has gone, however, is no endpoint any more. */
  forget(running: RunningPod): void {
    const { metadata } = running.pod;
    this.#ready.delete(running);
    this.#pods.delete(`${metadata.namespace}/${metadata.name}`);
    this.server.delete("v1", "Pod", metadata.name, metadata.namespace);
    this.#writeEndpoints();
  }

  async close(): Promise<void> {
    this.#network.close();
    await this.server.stop();
  }

  /** The last that each container has written. */
  async #logs(): Promise<string> {
    let text = "";
    for (const { pod, containers } of this.#pods.values())
      for (const [name, container] of containers)
        text += `── ${pod.metadata.name}/${name}\n${(await container.log()).slice(-2000)}\n`;
    return text;
  }

  #placed(service: ServiceObject): ServiceObject {
    const { name, namespace } = service.metadata;
    const key = `${namespace}/${name}`;
    const clusterIP =
      service.spec.clusterIP ?? this.#services.get(key)?.spec.clusterIP ?? `10.96.0.${this.#services.size + 2}`;
    const placed = { ...service, spec: { ...service.spec, clusterIP } };
    this.#services.set(key, placed);
    return placed;
  }

  #writePod({ pod, address }: RunningPod, ready: boolean): void {
    const conditions = [{ type: "Ready", status: ready ? "True" : "False" }];
    const status = { phase: "Running", podIP: address, podIPs: [{ ip: address }], hostIP: "192.0.2.1", conditions };
    this.server.apply({ ...pod, status });
  }

  #endpointsOf({ metadata, spec }: ServiceObject): readonly RunningPod[] {
    const selector = Object.entries(spec.selector ?? {});
    return [...this.#ready].filter(
      ({ pod }) =>
        pod.metadata.namespace === metadata.namespace &&
        selector.every(([key, value]) => pod.metadata.labels?.[key] === value),
    );
  }

  #writeEndpoints(): void {
    for (const service of this.#services.values()) {
      const { name, namespace } = service.metadata;
      const pods = this.#endpointsOf(service);
      this.server.apply({
        apiVersion: "discovery.k8s.io/v1",
        kind: "EndpointSlice",
        metadata: { name: `${name}-1`, namespace, labels: { "kubernetes.io/service-name": name } },
        addressType: "IPv4",
        endpoints: pods.map(({ address, pod }) => ({
          addresses: [address],
          conditions: { ready: true },
          targetRef: { kind: "Pod", name: pod.metadata.name, namespace },
        })),
        ports: portsOf(service, pods).map(({ name: portName, target }) => ({
          ...{ name: portName, port: target, protocol: "TCP" },
        })),
      });
    }
    this.#publish();
  }

  /** Makes addresses lead where endpoints are, and names to addresses. */
  #publish(): void {
    const lines = [`127.0.0.1 localhost`, `${API_ADDRESS} ${API_NAME}`];
    const routes: ServicePort[] = [
      { address: API_ADDRESS, port: 443, endpoints: [`${this.#gateway}:${this.server.port}`] },
    ];
    for (const service of this.#services.values()) {
      const { name, namespace } = service.metadata;
      const { clusterIP = HEADLESS } = service.spec;
      const pods = this.#endpointsOf(service);
      const names = ["svc", "svc.cluster.local"].map((zone) => `${name}.${namespace}.${zone}`);
      const line = [...names, `${name}.${namespace}`].join(" ");
      const addresses = clusterIP === HEADLESS ? pods.map(({ address }) => address) : [clusterIP];
      lines.push(...addresses.map((address) => `${address} ${line}`));
      if (clusterIP === HEADLESS) continue;
      for (const { port, target } of portsOf(service, pods))
        routes.push({ address: clusterIP, port, endpoints: pods.map(({ address }) => `${address}:${target}`) });
    }
    this.#network.set(routes);
    // In place: containers have this very file mounted.
    writeFileSync(join(this.#folder, "hosts"), lines.map((line) => `${line}\n`).join(""));
  }

  #configMap(namespace: string, name: string): Promise<Readonly<Record<string, string>>> {
    return eventually(
      `ConfigMap ${namespace}/${name}`,
      async () => this.server.get("v1", "ConfigMap", name, namespace)?.data as Record<string, string> | undefined,
      PATIENCE_MS,
    );
  }

  async #secret(namespace: string, name: string): Promise<Readonly<Record<string, string>>> {
    const data = await eventually(
      `Secret ${namespace}/${name}`,
      async () => this.server.get("v1", "Secret", name, namespace)?.data as Record<string, string> | undefined,
      PATIENCE_MS,
    );
    return Object.fromEntries(Object.entries(data).map(([key, text]) => [key, Buffer.from(text, "base64").toString()]));
  }

  #token({ metadata, spec }: Pod, audience: string): string {
    const token = `mesh.${metadata.namespace}.${metadata.name}`;
    this.server.reviewed.set(token, {
      username: `system:serviceaccount:${metadata.namespace}:${spec.serviceAccountName ?? "default"}`,
      audiences: [audience],
      extra: { "authentication.kubernetes.io/pod-name": [metadata.name] },
    });
    return token;
  }

  async #account({ metadata, spec }: Pod): Promise<string> {
    const place = join(this.#folder, "accounts", metadata.name);
    await mkdir(place, { recursive: true, mode: 0o755 });
    const token = `api.${spec.serviceAccountName}`;
    this.server.tokens.add(token);
    await writeSecret(join(place, "token"), token);
    await writeFile(join(place, "ca.crt"), this.server.caPem, { mode: 0o644 });
    await writeFile(join(place, "namespace"), metadata.namespace, { mode: 0o644 });
    return place;
  }

  #permits(asked: ApiRequest): boolean {
    const component = /^api\.istio-(.*)-service-account$/.exec(asked.token ?? "")?.[1] as
      | PermittedComponent
      | undefined;
    const selected = /^metadata\.name=(.*)$/.exec(asked.query.get("fieldSelector") ?? "")?.[1];
    const permitted = component !== undefined && isPermitted(component, { ...asked, name: asked.name ?? selected });
    if (!permitted) this.refused.push(`${component}: ${asked.verb} ${asked.path}`);
    return permitted;
  }
}

/** The API server, as its certificate names it. */
const API_NAME = "kubernetes.default.svc";

const API_ADDRESS = "10.96.0.1";
/** What a service has for an address when it is to have none. */
const HEADLESS = "None";

/** Ports of a service, and what they are in its pods. */
function portsOf({ spec }: ServiceObject, pods: readonly RunningPod[]) {
  return spec.ports.map(({ name, port, targetPort = port }) => ({
    ...{ name, port },
    target: typeof targetPort === "number" ? targetPort : namedPort(pods[0], targetPort),
  }));
}

function namedPort(running: RunningPod | undefined, name: string): number {
  const ports = running?.pod.spec.containers.flatMap(({ ports: all = [] }) => all) ?? [];
  return ports.find((port) => port.name === name)?.containerPort ?? 0;
}
