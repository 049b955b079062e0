import {
  type ConfigMap,
  type Deployment,
  defaultMeshConfig,
  type Gateway,
  type GatewayClass,
  type Ingress,
  type KindName,
  type KubernetesGateway,
  keyOf,
  type LocalRuntime,
  type MeshConfig,
  meshConfigFromConfigMap,
  type ProxyConfig,
  parseResourceKey,
  type Resource,
  type ResourceKey,
  type Service,
  type StatefulSet,
  type VirtualService,
} from "@lateen/mesh-model";
import type { AcceptedObject, StateDelta } from "@lateen/ports";

/** The accepted configuration as the supervisor holds it: galley's deltas folded, nothing computed. */
export class World {
  readonly #byKind = new Map<KindName, Map<ResourceKey, Resource>>();
  #revision = 0;
  #loaded = false;

  /** Galley's revision that is in here. */
  get revision(): number {
    return this.#revision;
  }

  /** Whether the first snapshot has come. */
  get loaded(): boolean {
    return this.#loaded;
  }

  /** Takes a delta over; a snapshot replaces everything. Returns the objects that are new or different, and those that went. */
  apply(delta: StateDelta<AcceptedObject>): {
    readonly changed: readonly Resource[];
    readonly removed: readonly ResourceKey[];
  } {
    const removed = delta.removed.map((key) => key as ResourceKey);
    if (delta.snapshot) {
      const present = new Set(delta.upserted.map((entry) => entry.key));
      for (const [key] of this.entries()) if (!present.has(key)) removed.push(key);
    }
    for (const key of removed) this.#delete(key);
    const changed: Resource[] = [];
    for (const { value } of delta.upserted) {
      const { object } = value;
      const kind = this.#kind(object.kind);
      const key = keyOf(object);
      const old = kind.get(key);
      if (old !== undefined && JSON.stringify(old) === JSON.stringify(object)) continue;
      kind.set(key, object);
      changed.push(object);
    }
    this.#revision = delta.revision;
    this.#loaded = true;
    return { changed, removed };
  }

  *entries(): IterableIterator<[ResourceKey, Resource]> {
    for (const kind of this.#byKind.values()) yield* kind;
  }

  deployments(): readonly Deployment[] {
    return this.#all("Deployment") as readonly Deployment[];
  }
  statefulSets(): readonly StatefulSet[] {
    return this.#all("StatefulSet") as readonly StatefulSet[];
  }
  services(namespace?: string): readonly Service[] {
    const all = this.#all("Service") as readonly Service[];
    return namespace === undefined ? all : all.filter((service) => service.metadata.namespace === namespace);
  }
  gateways(): readonly Gateway[] {
    return this.#all("Gateway") as readonly Gateway[];
  }
  kubernetesGateways(): readonly KubernetesGateway[] {
    return this.#all("KubernetesGateway") as readonly KubernetesGateway[];
  }
  ingresses(): readonly Ingress[] {
    return this.#all("Ingress") as readonly Ingress[];
  }
  gatewayClasses(): readonly GatewayClass[] {
    return this.#all("GatewayClass") as readonly GatewayClass[];
  }
  virtualServices(): readonly VirtualService[] {
    return this.#all("VirtualService") as readonly VirtualService[];
  }
  localRuntimes(): readonly LocalRuntime[] {
    return this.#all("LocalRuntime") as readonly LocalRuntime[];
  }
  proxyConfigs(): readonly ProxyConfig[] {
    return this.#all("ProxyConfig") as readonly ProxyConfig[];
  }
  /** The mesh configuration in force, the root namespace's; one that cannot be read says nothing. */
  meshConfig(): MeshConfig {
    const defaults = defaultMeshConfig();
    const map = this.configMap(defaults.rootNamespace, "istio");
    const read = map === undefined ? undefined : meshConfigFromConfigMap(map, defaults);
    return read?.ok ? read.value : defaults;
  }
  service(namespace: string, name: string): Service | undefined {
    return this.#find("Service", namespace, name) as Service | undefined;
  }
  configMap(namespace: string, name: string): ConfigMap | undefined {
    return this.#find("ConfigMap", namespace, name) as ConfigMap | undefined;
  }
  secret(namespace: string, name: string): Resource<"Secret"> | undefined {
    return this.#find("Secret", namespace, name) as Resource<"Secret"> | undefined;
  }
  /** `default` is there in every namespace, as Kubernetes makes it. */
  hasServiceAccount(namespace: string, name: string): boolean {
    return name === "default" || this.#find("ServiceAccount", namespace, name) !== undefined;
  }
  has(kind: KindName, namespace: string, name: string): boolean {
    return this.#find(kind, namespace, name) !== undefined;
  }

  #all(kind: KindName): readonly Resource[] {
    return [...this.#kind(kind).values()];
  }

  #find(kind: KindName, namespace: string, name: string): Resource | undefined {
    return this.#kind(kind).get(`${kind}/${namespace}/${name}` as ResourceKey);
  }

  #kind(kind: KindName): Map<ResourceKey, Resource> {
    let found = this.#byKind.get(kind);
    if (found === undefined) {
      found = new Map();
      this.#byKind.set(kind, found);
    }
    return found;
  }

  #delete(key: ResourceKey): void {
    const parsed = parseResourceKey(key);
    if (parsed !== undefined) this.#byKind.get(parsed.kind)?.delete(key);
  }
}
