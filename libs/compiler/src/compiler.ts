import { createHash } from "node:crypto";
import type { Result } from "@lateen/kernel";
import { DEFAULT_DOMAIN, type MeshConfig, type Resource, type ResourceKey } from "@lateen/mesh-model";
import { describeMessages } from "@lateen/proto/messages";
import { patchedBootstrap } from "./emit/bootstrap.ts";
import { endpointResource, nodeEndpoints } from "./emit/clusters.ts";
import type { CompilerWarning } from "./emit/compiler-warning.ts";
import { INTERNER_CELL } from "./emit/encode.ts";
import { SCOPES_CELL } from "./emit/extension-warnings.ts";
import { scopeExtensions } from "./emit/extensions.ts";
import { grpcResource } from "./emit/grpc.ts";
import { scopeNames } from "./emit/names.ts";
import { routeResource, scopeClusters, scopeListeners, scopeRoutes } from "./emit/patched.ts";
import { nodeSecrets } from "./emit/secrets.ts";
import { meshWarnings } from "./emit/warnings.ts";
import { defineQuery, type EngineStats, QueryEngine } from "./engine/query-engine.ts";
import type { XdsNode } from "./node.ts";
import { type EncodedResource, ResourceInterner, type ResourceMap, typeUrls } from "./resource.ts";
import { type NodeScope, scopeKey, scopeOf, type WorkloadScope } from "./scope.ts";
import { convertedObjects, convertedStatus } from "./world/converted.ts";
import { Discovery } from "./world/discovery.ts";
import { LazyMessages, MESSAGES_CELL } from "./world/envoy-messages.ts";
import { cells, MeshSnapshot } from "./world/mesh-snapshot.ts";
import { type CompileSettings, SETTINGS_CELL } from "./world/services.ts";

export interface CompilerOptions {
  readonly meshConfig: MeshConfig;
  /** Name of the cluster in workload metadata. */
  readonly clusterId: string;
  /** DNS domain of Kubernetes services. Default `cluster.local`. */
  readonly domain?: string;
  /** Descriptions of the messages that extensions may be made of. Default: all of Envoy's, made when they are first needed. */
  readonly messages?: typeof describeMessages;
}

/** What became different: objects to store, keys of objects to drop, the whole mesh configuration when that changed. */
export interface CompilerChange {
  readonly upserted: readonly Resource[];
  readonly removed: readonly ResourceKey[];
  readonly meshConfig?: MeshConfig;
  /** Keys of token issuers by the URL they came from. Those not named stay as they are; without any, no token of theirs is good. */
  readonly keySets?: ReadonlyMap<string, string>;
}

/**
 * Turns configuration and registry objects into xDS resources for each proxy. Pure: no I/O, no clock. Work is done when
 * resources are asked for, and only for what a change touched; equal output is the identical object for every node and
 * revision.
 */
export interface Compiler {
  /** Counts the changes applied; what {@link resources} answers realises all of them. */
  readonly revision: number;
  apply(change: CompilerChange): void;
  /**
   * Resources of a type for a proxy: all, or those of `names` that exist. Without `names`, the identical map as long as nothing in
   * it changed. An unknown type has no resources.
   */
  resources(node: XdsNode, typeUrl: string, names?: ReadonlySet<string>): ResourceMap;
  /** What the configuration asks for and some proxy cannot do; of extensions, some proxy that asked for resources. */
  warnings(): readonly CompilerWarning[];
  /**
   * Stands for all resources of a node: the identical value as long as none of them changed. Asking costs next to nothing when no
   * change touched what the node may see.
   */
  content(node: XdsNode): unknown;
  /** Names what clients of this node's kind have in common: nodes with equal names share most of what is compiled for them. */
  kindOf(node: XdsNode): string;
  /** Kinds of clients that something was compiled for since the last {@link Compiler.retain}. */
  readonly kinds: number;
  /** Forgets what was compiled for nobody among these nodes. */
  retain(nodes: Iterable<XdsNode>): void;
  /** The Istio objects that Gateway API objects and Ingress were converted to, by what they were made of. */
  converted(): readonly Resource[];
  /** `status` of a Gateway API object or Ingress as its API has it; undefined for other kinds and other controllers' objects. */
  status(key: ResourceKey): Readonly<Record<string, unknown>> | undefined;
  /**
   * A bootstrap of Envoy, as proto JSON, with what EnvoyFilters patch in it for a proxy; the document itself when that is nothing. An
   * error: it is no bootstrap.
   */
  bootstrap(node: XdsNode, document: unknown): Result<unknown, string>;
  /** Work done so far, by query. */
  stats(): EngineStats;
}

/** Answers not asked for during this many changes are forgotten. */
const KEEP_REVISIONS = 64;
/** When they are looked for: there are so many more than after the last look, and this part of those. The cost then follows what was made. */
const MORE_MEMOS = { least: 128, part: 1 / 8 };

const NOTHING: ResourceMap = new Map();
const NO_NAMES: ReadonlySet<string> = new Set();

/** A token that is replaced when anything a proxy may get changes. */
const scopeContent = defineQuery<NodeScope, object>({
  name: "scopeContent",
  key: scopeKey,
  compute: (read, scope) => {
    read.ask(scopeClusters, scope);
    nodeEndpoints(read, scope);
    read.ask(scopeListeners, scope);
    scopeRoutes(read, scope);
    read.ask(nodeSecrets, scope);
    read.ask(scopeNames, scope.client);
    read.ask(scopeExtensions, scope.workload);
    return {};
  },
});

export function createCompiler(options: CompilerOptions): Compiler {
  return new IncrementalCompiler(options);
}

interface KnownScope {
  readonly revision: number;
  readonly fullId: string;
  readonly scope: NodeScope;
}

/** The scope with hashes for ids: they are part of very many keys. */
function shortened(scope: NodeScope): NodeScope {
  const hash = (id: string) => createHash("sha256").update(id).digest("base64url").slice(0, 22);
  const client = { ...scope.client, id: hash(scope.client.id) };
  const workload = { ...scope.workload, id: hash(scope.workload.id) };
  return { id: `${client.id} ${workload.id}`, client, workload };
}

/** The proxies that asked for something, as long as anybody has them. */
class SeenNodes {
  readonly #nodes = new Map<string, WeakRef<XdsNode>>();
  #scopes: readonly WorkloadScope[] = [];

  add(node: XdsNode): void {
    this.#nodes.set(node.id, new WeakRef(node));
  }

  /** Their scopes, each once; the identical list while it is the same. */
  scopes(scopeOfNode: (node: XdsNode) => NodeScope): readonly WorkloadScope[] {
    const found = new Map<string, WorkloadScope>();
    for (const [id, reference] of this.#nodes) {
      const node = reference.deref();
      if (node === undefined) this.#nodes.delete(id);
      else if (node.generator === "proxy") {
        const { workload } = scopeOfNode(node);
        found.set(workload.id, workload);
      }
    }
    const { size } = found;
    const same = size === this.#scopes.length && this.#scopes.every(({ id }) => found.has(id));
    if (!same) this.#scopes = [...found.values()];
    return this.#scopes;
  }
}

class IncrementalCompiler implements Compiler {
  readonly #engine = new QueryEngine();
  readonly #snapshot = new MeshSnapshot();
  readonly #discovery: Discovery;
  /** Scopes of nodes, as of an engine revision: a proxy is asked for several times a push. */
  readonly #scopes = new WeakMap<XdsNode, KnownScope>();
  readonly #seen = new SeenNodes();
  /** Ids of client scopes that were asked for. */
  readonly #kinds = new Set<string>();
  #revision = 0;
  /** Results held after unused ones were forgotten last. */
  #kept = 0;

  constructor(options: CompilerOptions) {
    this.#discovery = new Discovery(this.#snapshot, options.meshConfig);
    const settings: CompileSettings = {
      clusterId: options.clusterId,
      domain: options.domain ?? DEFAULT_DOMAIN,
    };
    this.#engine.set([
      [SETTINGS_CELL, settings],
      [INTERNER_CELL, new ResourceInterner()],
      [MESSAGES_CELL, new LazyMessages(options.messages ?? describeMessages)],
      [cells.meshConfig, options.meshConfig],
    ]);
  }

  get revision(): number {
    return this.#revision;
  }

  apply(change: CompilerChange): void {
    const { upserted, removed } = this.#discovery.take(change, change.meshConfig);
    const changes = this.#snapshot.change(upserted, removed);
    if (change.meshConfig !== undefined) changes.set(cells.meshConfig, change.meshConfig);
    for (const [url, keys] of change.keySets ?? []) changes.set(cells.keySet(url), keys);
    this.#engine.set(changes);
    this.#revision++;
    if (this.#revision % KEEP_REVISIONS === 0) this.#forgetUnused();
  }

  #forgetUnused(): void {
    const engine = this.#engine;
    if (engine.size < this.#kept * (1 + MORE_MEMOS.part) + MORE_MEMOS.least) return;
    engine.forget(engine.revision - KEEP_REVISIONS);
    this.#kept = engine.size;
  }

  resources(node: XdsNode, typeUrl: string, names?: ReadonlySet<string>): ResourceMap {
    const scope = this.#scopeOf(node);
    if (node.generator === "grpc") {
      return this.#named(names ?? NO_NAMES, (name) => this.#engine.ask(grpcResource, { scope, typeUrl, name }));
    }
    if (names === undefined) return this.#all(scope, typeUrl);
    switch (typeUrl) {
      case typeUrls.endpoint:
        return this.#named(names, (name) => endpointResource(this.#engine, scope, name));
      case typeUrls.route:
        return this.#named(names, (name) => routeResource(this.#engine, scope, name));
      default: {
        const all = this.#all(scope, typeUrl);
        return this.#named(names, (name) => all.get(name));
      }
    }
  }

  kindOf(node: XdsNode): string {
    return this.#scopeOf(node).client.id;
  }

  get kinds(): number {
    return this.#kinds.size;
  }

  retain(nodes: Iterable<XdsNode>): void {
    this.#engine.advance();
    this.#kinds.clear();
    for (const node of nodes) this.content(node);
    this.#engine.forget(this.#engine.revision);
    this.#kept = this.#engine.size;
  }

  content(node: XdsNode): unknown {
    return this.#engine.ask(scopeContent, this.#scopeOf(node));
  }

  #scopeOf(node: XdsNode): NodeScope {
    const { revision } = this.#engine;
    const known = this.#scopes.get(node);
    if (known?.revision === revision) return known.scope;
    const full = scopeOf(this.#engine, node);
    const scope = known?.fullId === full.id ? known.scope : shortened(full);
    if (known === undefined) this.#seen.add(node);
    this.#kinds.add(scope.client.id);
    this.#scopes.set(node, { revision, fullId: full.id, scope });
    return scope;
  }

  warnings(): readonly CompilerWarning[] {
    this.#engine.set([[SCOPES_CELL, this.#seen.scopes((node) => this.#scopeOf(node))]]);
    return this.#engine.ask(meshWarnings, "");
  }

  converted(): readonly Resource[] {
    return this.#engine.ask(convertedObjects, "");
  }

  status(key: ResourceKey): Readonly<Record<string, unknown>> | undefined {
    return this.#engine.ask(convertedStatus, key);
  }

  bootstrap(node: XdsNode, document: unknown): Result<unknown, string> {
    return patchedBootstrap(this.#engine, this.#scopeOf(node).workload, document);
  }

  stats(): EngineStats {
    return this.#engine.stats();
  }

  #all(scope: NodeScope, typeUrl: string): ResourceMap {
    switch (typeUrl) {
      case typeUrls.cluster:
        return this.#engine.ask(scopeClusters, scope);
      case typeUrls.endpoint:
        return nodeEndpoints(this.#engine, scope);
      case typeUrls.listener:
        return this.#engine.ask(scopeListeners, scope);
      case typeUrls.route:
        return scopeRoutes(this.#engine, scope);
      case typeUrls.secret:
        return this.#engine.ask(nodeSecrets, scope);
      case typeUrls.extension:
        return this.#engine.ask(scopeExtensions, scope.workload);
      case typeUrls.nds:
        return this.#engine.ask(scopeNames, scope.client);
      default:
        return NOTHING;
    }
  }

  #named(names: ReadonlySet<string>, find: (name: string) => EncodedResource | undefined): ResourceMap {
    const found = new Map<string, EncodedResource>();
    for (const name of names) {
      const resource = find(name);
      if (resource !== undefined) found.set(name, resource);
    }
    return found;
  }
}
