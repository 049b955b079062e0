import type { DestinationRule, Resource, VirtualService } from "../kinds/index.ts";
import { labelsMatch } from "../services/endpoints.ts";
import { DEFAULT_DOMAIN, hostMatches, kubernetesHost, shortHostToFqdn } from "../services/hosts.ts";
import { serviceFromKubernetes } from "../services/kubernetes.ts";
import { servicesFromServiceEntry } from "../services/service-entry.ts";
import type { MeshService } from "../services/types.ts";
import { append } from "./group.ts";
import type { AnalyzeOptions } from "./types.ts";

type Labels = Readonly<Record<string, string>>;

/** A set of pods with equal labels: a Deployment's template, a Pod, a WorkloadEntry, a built-in gateway. */
export interface WorkloadGroup {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Labels;
  /** Undefined when the workload is not declared among the objects. */
  readonly source: Resource | undefined;
}

/** The objects, indexed once for all analyzers. Building and every look-up is linear in what it returns. */
export class AnalysisWorld {
  readonly domain: string;
  readonly rootNamespace: string;
  readonly namespaces = new Set<string>();
  readonly #byKind = new Map<string, Resource[]>();
  readonly #services = new Map<string, MeshService[]>();
  readonly #wildcards: MeshService[] = [];
  /** By label, of one namespace and of all; see {@link labelKey}. */
  readonly #workloads = new Map<string, WorkloadGroup[]>();
  readonly #rules = new Map<string, DestinationRule[]>();
  readonly #builtInHosts: ReadonlySet<string>;
  readonly #wildcardRules: DestinationRule[] = [];

  constructor(objects: Iterable<Resource>, options: AnalyzeOptions) {
    this.domain = options.domain ?? DEFAULT_DOMAIN;
    this.rootNamespace = options.rootNamespace ?? "istio-system";
    const builtIn = options.builtInWorkloads ?? gatewaysOf(this.rootNamespace);
    for (const { namespace, labels } of builtIn) this.#addWorkload({ namespace, name: "", labels, source: undefined });
    this.#builtInHosts = new Set(
      options.builtInHosts ?? GATEWAYS.map((name) => kubernetesHost(`istio-${name}`, this.rootNamespace, this.domain)),
    );
    for (const object of objects) this.#add(object);
  }

  /** Whether a host exists although no object declares it. */
  isBuiltInHost(host: string, namespace: string): boolean {
    return this.#builtInHosts.has(shortHostToFqdn(host, namespace, this.domain));
  }

  all<K extends Resource["kind"]>(kind: K): readonly Resource<K>[] {
    return (this.#byKind.get(kind) ?? []) as unknown as readonly Resource<K>[];
  }

  /** Services a host in a rule of `namespace` stands for; several when entries share a host. */
  servicesOf(host: string, namespace: string): readonly MeshService[] {
    const name = shortHostToFqdn(host, namespace, this.domain);
    const exact = this.#services.get(name);
    if (exact !== undefined) return exact;
    if (!name.startsWith("*")) return this.#wildcards.filter((service) => hostMatches(service.host, name));
    return [...this.#services.values()].flat().filter((service) => hostMatches(name, service.host));
  }

  /** Destination rules for a host, those with a matching wildcard included. */
  destinationRulesOf(host: string, namespace: string): readonly DestinationRule[] {
    const name = shortHostToFqdn(host, namespace, this.domain);
    const wild = this.#wildcardRules.filter((rule) => hostMatches(rule.spec.host, name));
    return [...(this.#rules.get(name) ?? []), ...wild];
  }

  /** Workloads that carry the labels, of which there must be one at least: of one namespace, or of all when it is undefined. */
  selected(selector: Labels, namespace: string | undefined): readonly WorkloadGroup[] {
    let fewest: readonly WorkloadGroup[] | undefined;
    for (const [key, value] of Object.entries(selector)) {
      const candidates = this.#workloads.get(labelKey(namespace, key, value)) ?? [];
      if (fewest === undefined || candidates.length < fewest.length) fewest = candidates;
    }
    return (fewest ?? []).filter((workload) => labelsMatch(selector, workload.labels));
  }

  #add(object: Resource): void {
    append(this.#byKind, object.kind, object);
    if (object.kind === "Namespace") this.namespaces.add(object.metadata.name);
    else this.namespaces.add(object.metadata.namespace);
    switch (object.kind) {
      case "Service":
        this.#addService(serviceFromKubernetes(object, this.domain));
        break;
      case "ServiceEntry":
        for (const service of servicesFromServiceEntry(object)) this.#addService(service);
        break;
      case "DestinationRule":
        this.#addRule(object);
        break;
      default:
        this.#addWorkloadOf(object);
    }
  }

  #addWorkloadOf(object: Resource): void {
    const { namespace, name } = object.metadata;
    const of = (labels: Labels | undefined) => ({ namespace, name, labels: labels ?? {}, source: object });
    if (object.kind === "Deployment" || object.kind === "StatefulSet")
      this.#addWorkload(of(object.spec.template.metadata?.labels));
    else if (object.kind === "Pod") this.#addWorkload(of(object.metadata.labels));
    else if (object.kind === "WorkloadEntry") {
      this.#addWorkload(of({ ...object.metadata.labels, ...object.spec.labels }));
    }
  }

  #addWorkload(workload: WorkloadGroup): void {
    for (const [key, value] of Object.entries(workload.labels)) {
      append(this.#workloads, labelKey(workload.namespace, key, value), workload);
      append(this.#workloads, labelKey(undefined, key, value), workload);
    }
  }

  #addService(service: MeshService): void {
    append(this.#services, service.host, service);
    if (service.host.startsWith("*")) this.#wildcards.push(service);
  }

  #addRule(rule: DestinationRule): void {
    const host = shortHostToFqdn(rule.spec.host, rule.metadata.namespace, this.domain);
    if (host.startsWith("*")) this.#wildcardRules.push(rule);
    else append(this.#rules, host, rule);
  }
}

function labelKey(namespace: string | undefined, key: string, value: string): string {
  return `${namespace ?? "*"} ${key}=${value}`;
}

const GATEWAYS = ["ingressgateway", "egressgateway"] as const;

function gatewaysOf(namespace: string) {
  return GATEWAYS.map((istio) => ({
    namespace,
    labels: { istio, app: `istio-${istio}` },
  }));
}

/** Gateways of a virtual service as `namespace/name`; `mesh` stands for itself. None written means the mesh. */
export function gatewaysOfVirtualService(object: VirtualService): readonly string[] {
  const written = object.spec.gateways ?? [];
  return written.length === 0 ? ["mesh"] : written.map((name) => absoluteGateway(name, object.metadata.namespace));
}

export function absoluteGateway(name: string, namespace: string): string {
  if (name === "mesh") return name;
  if (name.startsWith("./")) return `${namespace}/${name.slice(2)}`;
  return name.includes("/") ? name : `${namespace}/${name}`;
}
