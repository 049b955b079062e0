import { type Compiler, createCompiler, nodeFromProto, typeUrls, type XdsNode } from "@lateen/compiler";
import type { Result } from "@lateen/kernel";
import {
  type Diagnostic,
  labelsMatch,
  type MeshConfig,
  type Resource,
  spiffeId,
  type Workload,
  workloadFromPod,
} from "@lateen/mesh-model";
import { Node } from "@lateen/proto/envoy/config/core/v3/base";
import { CAPABILITIES, listedExtensions } from "@lateen/proxy";
import { httpFilters, networkFilters } from "@lateen/proxy-filters";
import { hasSidecar, isGatewayPod } from "./offline-world.ts";
import { SimulatedProxy } from "./proxy-resources.ts";

/** A workload that can call and be called. */
export interface Participant {
  readonly workload: Workload;
  /** `none`: it runs without a proxy. */
  readonly proxy: "sidecar" | "gateway" | "none";
  /** URI name of its certificate; undefined without a proxy. */
  readonly principal: string | undefined;
}

export interface SimulatedMeshOptions {
  /** Pods included; see {@link asRunning} for files that have none. */
  readonly objects: readonly Resource[];
  readonly meshConfig: MeshConfig;
  readonly clusterId: string;
  /** What its proxies say they can run. Default: what Lateen's can. */
  readonly metadata?: Readonly<Record<string, unknown>>;
}

/** Node metadata of Lateen's own proxies, as far as it decides what they get. */
export const LATEEN_METADATA: Readonly<Record<string, unknown>> = {
  LATEEN_CAPABILITIES: [...CAPABILITIES],
  LATEEN_EXTENSIONS: [...listedExtensions({ httpFilters, networkFilters })],
};

/** A mesh as its compiler sees it, with the workloads in it. Nothing runs. */
export class SimulatedMesh {
  readonly participants: readonly Participant[];
  readonly #compiler: Compiler;
  readonly #services: readonly Resource<"Service">[];
  readonly #metadata: Readonly<Record<string, unknown>>;
  readonly #proxies = new Map<string, SimulatedProxy>();
  readonly #nodes = new Map<string, XdsNode>();

  constructor(options: SimulatedMeshOptions) {
    const { objects, meshConfig, clusterId } = options;
    this.#metadata = options.metadata ?? LATEEN_METADATA;
    this.#compiler = createCompiler({ meshConfig, clusterId });
    this.#compiler.apply({ upserted: objects, removed: [] });
    this.#services = objects.filter((object) => object.kind === "Service");
    this.participants = objects.flatMap((object) => {
      const workload = object.kind === "Pod" ? workloadFromPod(object) : undefined;
      if (object.kind !== "Pod" || workload === undefined) return [];
      const proxy = isGatewayPod(object) ? "gateway" : hasSidecar(object) ? "sidecar" : "none";
      const { namespace, serviceAccount } = workload;
      const { trustDomain } = meshConfig;
      return [
        {
          workload,
          proxy,
          principal: proxy === "none" ? undefined : spiffeId(trustDomain, namespace, serviceAccount),
        },
      ];
    });
  }

  /** What the configuration asks for and some proxy cannot do. */
  warnings(): readonly Diagnostic[] {
    return this.#compiler.warnings();
  }

  /** A bootstrap of Envoy with the patches for the node that is written in it. An error: it is none. */
  bootstrap(document: unknown): Result<unknown, string> {
    const written = (document as { readonly node?: unknown } | undefined)?.node;
    const node = nodeFromProto(Node.fromJSON(written ?? {}));
    return node.ok ? this.#compiler.bootstrap(node.value, document) : node;
  }

  /** What the Gateway API's objects and Ingress become. */
  converted(): readonly Resource[] {
    return this.#compiler.converted();
  }

  /** A workload by `NAME`, `NAME.NAMESPACE` or `NAMESPACE/NAME` of its pod or workload; of several the first. */
  find(name: string): Participant | undefined {
    const wanted = name.split(".");
    return this.participants.find(({ workload }) => {
      const { pod, name: own, namespace } = workload;
      return [own, pod].some(
        (each) => each === name || `${namespace}/${each}` === name || `${each}.${namespace}` === wanted.join("."),
      );
    });
  }

  /** The workload at an address. */
  at(address: string): Participant | undefined {
    return this.participants.find(({ workload }) => workload.address === address);
  }

  /** The port that a workload listens on for a port of its Services; the same port without one. */
  targetPort({ workload }: Participant, port: number): number {
    for (const { metadata, spec } of this.#services) {
      if (metadata.namespace !== workload.namespace || Object.keys(spec.selector ?? {}).length === 0) continue;
      if (!labelsMatch(spec.selector ?? {}, workload.labels)) continue;
      const found = spec.ports?.find((one) => one.port === port);
      if (found === undefined) continue;
      const { targetPort = port } = found;
      if (typeof targetPort === "number") return targetPort;
      return workload.containerPorts.find((one) => one.name === targetPort)?.port ?? port;
    }
    return port;
  }

  /** The proxy of a workload, with all that the control plane would serve it. */
  proxyOf(participant: Participant): SimulatedProxy {
    const node = this.nodeOf(participant);
    const known = this.#proxies.get(node.id);
    if (known !== undefined) return known;
    const of = (typeUrl: string) => this.#compiler.resources(node, typeUrl);
    const proxy = new SimulatedProxy(participant.workload.namespace, {
      listeners: of(typeUrls.listener),
      routes: of(typeUrls.route),
      clusters: of(typeUrls.cluster),
      endpoints: of(typeUrls.endpoint),
      names: of(typeUrls.nds),
    });
    this.#proxies.set(node.id, proxy);
    return proxy;
  }

  /** A proxy of a workload as it would introduce itself. */
  nodeOf(participant: Participant, metadata = this.#metadata): XdsNode {
    const made = madeNode(participant, metadata);
    // The compiler's warnings are about nodes that somebody has.
    const key = JSON.stringify([made.id, metadata]);
    const known = this.#nodes.get(key) ?? made;
    this.#nodes.set(key, known);
    return known;
  }

  /**
   * Encoded resources of a workload's proxy, by type URL; see `typeUrls` of the compiler.
   * @param metadata what the proxy says it can run; nothing: what Envoy gets. Default: what the mesh's proxies say.
   */
  resources(participant: Participant, typeUrl: string, metadata = this.#metadata) {
    return this.#compiler.resources(this.nodeOf(participant, metadata), typeUrl);
  }
}

function madeNode({ workload, proxy }: Participant, metadata: Readonly<Record<string, unknown>>): XdsNode {
  const { pod, namespace, address, labels, serviceAccount, name, containerPorts } = workload;
  const node = nodeFromProto(
    Node.fromPartial({
      id: `${proxy === "gateway" ? "router" : "sidecar"}~${address}~${pod}.${namespace}~${namespace}.svc.cluster.local`,
      metadata: {
        NAMESPACE: namespace,
        LABELS: labels,
        SERVICE_ACCOUNT: serviceAccount,
        WORKLOAD_NAME: name,
        POD_PORTS: JSON.stringify(
          containerPorts.map(({ name: portName, port }) => ({ name: portName, containerPort: port })),
        ),
        ...metadata,
      },
    }),
  );
  if (!node.ok) throw new TypeError(node.error);
  return node.value;
}
