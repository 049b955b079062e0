import { readFileSync } from "node:fs";
import { getCACertificates } from "node:tls";
import { type Logger, messageOf } from "@lateen/kernel";
import { typeUrl } from "@lateen/proto";
import { Cluster } from "@lateen/proto/envoy/config/cluster/v3/cluster";
import { ClusterLoadAssignment } from "@lateen/proto/envoy/config/endpoint/v3/endpoint";
import { Listener } from "@lateen/proto/envoy/config/listener/v3/listener";
import { RouteConfiguration } from "@lateen/proto/envoy/config/route/v3/route";
import { Secret } from "@lateen/proto/envoy/extensions/transport_sockets/tls/v3/secret";
import type { Any } from "@lateen/proto/google/protobuf/any";
import { NameTable } from "@lateen/proto/istio/networking/nds/v1/nds";
import type { HttpFilterFactory, NetworkFilterFactory } from "../chain/spi.ts";
import {
  clusterSpec,
  type DecodeContext,
  decodeBytes,
  decodeRun,
  fileSecret,
  listenerSpec,
  localities,
  nameTable,
  routeTable,
  secretSpec,
} from "../config/decode/index.ts";
import type { PlanState } from "../config/plan-state.ts";
import type { KeptResource, KeptResources } from "./last-good.ts";

/** Type URLs this proxy subscribes to. */
export const types = {
  cluster: typeUrl(Cluster),
  endpoint: typeUrl(ClusterLoadAssignment),
  listener: typeUrl(Listener),
  route: typeUrl(RouteConfiguration),
  nameTable: typeUrl(NameTable),
  /** Secrets of the control plane's store, for gateways. */
  secret: typeUrl(Secret),
} as const;

/** A resource that could not be taken over, and why. */
export interface ResourceFailure {
  readonly name: string;
  readonly reason: string;
  readonly atMs: number;
  readonly version: string;
}

export interface ConfigurationOptions {
  readonly state: PlanState;
  readonly httpFilters: readonly HttpFilterFactory[];
  readonly networkFilters: readonly NetworkFilterFactory[];
  /** Namespace of this workload, for short names. */
  readonly namespace: string;
  readonly now: () => number;
  readonly logger: Logger;
}

/** How decoding reaches files, environment and trust store. */
export function processDecodeContext(
  httpFilters: readonly HttpFilterFactory[],
  networkFilters: readonly NetworkFilterFactory[],
): DecodeContext {
  return {
    httpFilters,
    networkFilters,
    readFile: (path) => readFileSync(path),
    readEnv: (name) => process.env[name],
    systemRoots: () => getCACertificates("system").join("\n"),
  };
}

/**
 * The resources as they came, decoded into the plan state one by one: a bad one fails alone and what was there under its name
 * stays. Keeps the bytes of what is in force, for config dumps and the last-good file.
 */
export class Configuration {
  readonly #options: ConfigurationOptions;
  readonly #context: DecodeContext;
  readonly #kept = new Map<string, Map<string, KeptResource>>();
  readonly #failures = new Map<string, ResourceFailure>();
  readonly #updatedAt = new Map<string, number>();
  /** What is in force under names whose newer version is not yet, for {@link rejected}. */
  readonly #before = new Map<string, KeptResource | undefined>();

  constructor(options: ConfigurationOptions) {
    this.#options = options;
    this.#context = processDecodeContext(options.httpFilters, options.networkFilters);
  }

  get kept(): KeptResources {
    return this.#kept;
  }

  /** What was refused last under a name and not been replaced since, by `typeUrl name`. */
  get failures(): ReadonlyMap<string, ResourceFailure> {
    return this.#failures;
  }

  updatedAt(type: string, name: string): number {
    return this.#updatedAt.get(`${type} ${name}`) ?? 0;
  }

  /** A secret of a static configuration. */
  addSecret(secret: Secret): void {
    this.#options.state.setSecret(secretSpec(secret, decodeRun(this.#context)));
  }

  /** Reads the files again that `file-cert:` and `file-root:` secrets name. One that cannot be read stays as it was. */
  rereadFiles(): void {
    for (const name of this.#options.state.secretNames()) {
      try {
        const secret = fileSecret(name, decodeRun(this.#context), name);
        if (secret !== undefined) this.#options.state.setSecret(secret);
      } catch (error) {
        this.#options.logger.warn({ event: "secret.unreadable", name, reason: messageOf(error) });
      }
    }
  }

  /** Decodes and stages; the caller advances the plan state. */
  update(
    type: string,
    upserted: readonly KeptResource[],
    removed: readonly string[],
  ): readonly { readonly name: string; readonly reason: string }[] {
    const failures: { name: string; reason: string }[] = [];
    for (const resource of upserted) {
      try {
        this.#stage(type, resource);
      } catch (error) {
        const reason = messageOf(error);
        failures.push({ name: resource.name, reason });
        this.#fail(type, resource, reason);
      }
    }
    for (const name of removed) this.#remove(type, name);
    return failures;
  }

  /** A worker could not put it in force: what was in force before is kept again. Gives back what was refused. */
  rejected(type: string, name: string, reason: string): KeptResource | undefined {
    const key = `${type} ${name}`;
    const resource = this.#kept.get(type)?.get(name);
    if (resource === undefined) return undefined;
    this.#fail(type, resource, reason);
    const before = this.#before.get(key);
    if (before === undefined) this.#kept.get(type)?.delete(name);
    else this.#kept.get(type)?.set(name, before);
    this.#before.delete(key);
    return resource;
  }

  /** All that is not waiting is in force now. @param waiting `cluster NAME` and `listener NAME`. */
  confirm(waiting: readonly string[]): void {
    const keys = new Set(
      waiting.map((text) => {
        const isCluster = text.startsWith("cluster ");
        return `${isCluster ? types.cluster : types.listener} ${text.slice(text.indexOf(" ") + 1)}`;
      }),
    );
    for (const key of this.#before.keys()) if (!keys.has(key)) this.#before.delete(key);
  }

  #fail(type: string, { name, version }: KeptResource, reason: string): void {
    this.#failures.set(`${type} ${name}`, { name, reason, version, atMs: this.#options.now() });
    this.#options.logger.warn({ event: "xds.refused", typeUrl: type, name, reason });
  }

  #stage(type: string, resource: KeptResource): void {
    const { state } = this.#options;
    const { name, any } = resource;
    const run = decodeRun(this.#context);
    switch (type) {
      case types.cluster:
        state.setCluster(name, clusterSpec(this.#message(any, Cluster), run));
        break;
      case types.endpoint:
        state.setEndpoints(name, localities(this.#message(any, ClusterLoadAssignment), ""));
        break;
      case types.listener:
        state.setListener(name, listenerSpec(this.#message(any, Listener), run));
        break;
      case types.route:
        state.setRoutes(name, routeTable(this.#message(any, RouteConfiguration), run));
        break;
      case types.nameTable:
        state.setNames(nameTable(this.#message(any, NameTable), this.#options.namespace));
        break;
      case types.secret:
        state.setSecret({ ...secretSpec(this.#message(any, Secret), run), name });
        break;
      default:
        throw new Error(`type ${type} was not asked for`);
    }
    for (const secret of run.secrets.values()) state.setSecret(secret);
    const kept = this.#kept.get(type) ?? new Map<string, KeptResource>();
    if (!this.#before.has(`${type} ${name}`)) this.#before.set(`${type} ${name}`, kept.get(name));
    kept.set(name, resource);
    this.#kept.set(type, kept);
    this.#failures.delete(`${type} ${name}`);
    this.#updatedAt.set(`${type} ${name}`, this.#options.now());
  }

  #message<T>(any: Any, type: { readonly $type: string; decode(bytes: Uint8Array): T }): T {
    if (any.typeUrl !== typeUrl(type)) throw new Error(`is a ${any.typeUrl}, not a ${type.$type}`);
    return decodeBytes(any.value, type, "");
  }

  #remove(type: string, name: string): void {
    const { state } = this.#options;
    this.#kept.get(type)?.delete(name);
    this.#before.delete(`${type} ${name}`);
    this.#failures.delete(`${type} ${name}`);
    this.#updatedAt.delete(`${type} ${name}`);
    switch (type) {
      case types.cluster:
        state.setCluster(name, undefined);
        break;
      case types.endpoint:
        // The server has none: a cluster that waits for them serves without (UH) instead of waiting on.
        state.giveUpWarming([`cluster ${name}`]);
        state.setEndpoints(name, undefined);
        break;
      case types.listener:
        state.setListener(name, undefined);
        break;
      case types.route:
        state.setRoutes(name, undefined);
        break;
      case types.nameTable:
        state.setNames({});
        break;
      case types.secret:
        // Nothing to wait for any more: what names it goes into force and cannot complete a handshake.
        state.giveUpWarming(state.listenersWaitingFor(name));
        break;
    }
  }
}
