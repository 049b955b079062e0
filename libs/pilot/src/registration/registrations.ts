import type { XdsNode } from "@lateen/compiler";
import { type CancelTimer, type Clock, type Logger, ok, type Result } from "@lateen/kernel";
import {
  AUTO_REGISTRATION_GROUP,
  HEALTHY_CONDITION,
  keyOf,
  type Resource,
  type ResourceKey,
  resourceKey,
  workloadEntryOf,
} from "@lateen/mesh-model";
import type { ConfigWriter } from "@lateen/ports";
import { grpcStatus, type StreamRefusal } from "@lateen/xds";
import { EntryWriter } from "./entry-writer.ts";

type WorkloadEntry = Resource<"WorkloadEntry">;

/** How a workload is, as its agent finds it. */
export interface WorkloadHealth {
  readonly healthy: boolean;
  /** What the probe said. */
  readonly message: string;
}

export interface RegistrationOptions {
  /** Undefined: nothing can be kept, and workloads that want to be registered are refused. */
  readonly writer: ConfigWriter | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Name of this control plane in the entries. */
  readonly instance: string;
  /** Milliseconds that an entry stays after the last stream of its workload ended. */
  readonly graceMs: number;
  /** Milliseconds that workloads have to come back after this control plane was started. */
  readonly reconnectMs: number;
  readonly object: (key: ResourceKey) => Resource | undefined;
  readonly objects: () => Iterable<Resource>;
}

/** Annotations as Istio writes them. */
const CONTROLLER = "istio.io/workloadController";
const CONNECTED_AT = "istio.io/connectedAt";
const DISCONNECTED_AT = "istio.io/disconnectedAt";

/** A workload that registered itself. */
interface Member {
  readonly key: ResourceKey;
  readonly group: ResourceKey;
  readonly node: XdsNode;
  /** Its open streams: an old one's end may be noticed late. */
  readonly streams: Set<number>;
  readonly connectedAt: string;
  cancelRemoval: CancelTimer | undefined;
}

/**
 * Keeps a WorkloadEntry for every connected workload that says which WorkloadGroup it belongs to, with how it is, until it has been
 * gone for the grace time. Entries outlive a restart of the control plane: workloads that do not come back in time lose theirs.
 */
export class Registrations {
  readonly #options: RegistrationOptions;
  readonly #writer: EntryWriter | undefined;
  readonly #members = new Map<ResourceKey, Member>();
  readonly #ofStream = new Map<number, Member>();
  #sweeping: CancelTimer | undefined;
  #closed = false;

  constructor(options: RegistrationOptions) {
    const { writer, clock, logger } = options;
    this.#options = options;
    this.#writer = writer === undefined ? undefined : new EntryWriter(writer, clock, logger);
  }

  /** To be called once configuration is known. From then on entries of workloads that never came back are removed. */
  start(): void {
    const { clock, reconnectMs } = this.#options;
    if (this.#writer === undefined || this.#sweeping !== undefined || this.#closed) return;
    this.#sweeping = clock.every(reconnectMs, () => this.#sweep());
  }

  /** A stream of a workload was opened. Refused when it wants into a group that is not there or not its own. */
  join(stream: number, node: XdsNode): Result<void, StreamRefusal> {
    const { autoRegisterGroup: name, namespace } = node;
    if (name === "") return ok(undefined);
    const group = resourceKey("WorkloadGroup", namespace, name);
    const object = this.#options.object(group);
    if (this.#writer === undefined) {
      return refuse(
        grpcStatus.unavailable,
        "this control plane keeps no entries for workloads that register themselves",
      );
    }
    if (object?.kind !== "WorkloadGroup") {
      return refuse(grpcStatus.notFound, `there is no WorkloadGroup ${namespace}/${name} to register in`);
    }
    const { serviceAccount } = object.spec.template;
    if (serviceAccount && serviceAccount !== node.serviceAccount) {
      const text = `WorkloadGroup ${namespace}/${name} is for service account ${serviceAccount}, not ${node.serviceAccount}`;
      return refuse(grpcStatus.permissionDenied, text);
    }
    this.#register(stream, node, object);
    return ok(undefined);
  }

  /** The workload behind a stream says how it is. Workloads that did not register themselves are not asked. */
  health(stream: number, { healthy, message }: WorkloadHealth): void {
    const member = this.#ofStream.get(stream);
    const entry = member === undefined ? undefined : this.#current(member.key);
    if (member === undefined || entry === undefined) return;
    const status = healthy ? "True" : "False";
    const before = conditionsOf(entry).find(({ type }) => type === HEALTHY_CONDITION);
    if (before?.status === status && before.message === message) return;
    const now = this.#now();
    const condition = {
      type: HEALTHY_CONDITION,
      status,
      lastProbeTime: now,
      lastTransitionTime: before?.status === status ? before.lastTransitionTime : now,
      message: message.slice(0, 512),
    };
    const others = conditionsOf(entry).filter(({ type }) => type !== HEALTHY_CONDITION);
    this.#put({ ...entry, status: { ...asRecord(entry.status), conditions: [...others, condition] } });
    this.#options.logger.info({ event: "registration.health", entry: member.key, healthy, message });
  }

  /** The stream ended. */
  leave(stream: number): void {
    const member = this.#ofStream.get(stream);
    if (member === undefined || this.#closed) return;
    this.#ofStream.delete(stream);
    member.streams.delete(stream);
    if (member.streams.size > 0) return;
    const entry = this.#current(member.key);
    if (entry !== undefined) this.#put(annotated(entry, { [DISCONNECTED_AT]: this.#now() }));
    member.cancelRemoval = this.#options.clock.after(this.#options.graceMs, () => {
      this.#members.delete(member.key);
      this.#remove(member.key, "disconnected");
    });
  }

  /** Leaves all entries as they are: the workloads have not gone, this control plane has. */
  close(): void {
    this.#closed = true;
    this.#sweeping?.();
    for (const member of this.#members.values()) member.cancelRemoval?.();
    this.#writer?.close();
  }

  #register(stream: number, node: XdsNode, group: Resource<"WorkloadGroup">): void {
    const { address, network, locality, labels } = node;
    const made = workloadEntryOf(group, { address, network, locality, labels });
    const key = keyOf(made);
    const existing = this.#current(key);
    const { logger } = this.#options;
    if (existing !== undefined && existing.metadata.annotations?.[AUTO_REGISTRATION_GROUP] === undefined) {
      logger.warn({ event: "registration.foreign_entry", entry: key, node: node.id });
      return;
    }
    const known = this.#members.get(key);
    known?.cancelRemoval?.();
    const connectedAt = known !== undefined && known.streams.size > 0 ? known.connectedAt : this.#now();
    const member: Member = {
      key,
      group: keyOf(group),
      node,
      streams: known?.streams ?? new Set(),
      connectedAt,
      cancelRemoval: undefined,
    };
    member.streams.add(stream);
    // Streams of before belong to the member of now.
    for (const id of member.streams) this.#ofStream.set(id, member);
    this.#members.set(key, member);
    const entry = annotated(made, { [CONTROLLER]: this.#options.instance, [CONNECTED_AT]: connectedAt });
    this.#put(existing?.status === undefined ? entry : { ...entry, status: existing.status });
    logger.info({ event: "registration.connected", entry: key, group: member.group, node: node.id });
  }

  /** Removes entries of this control plane whose workloads are not connected and were not within the time to come back. */
  #sweep(): void {
    for (const object of this.#options.objects()) {
      if (object.kind !== "WorkloadEntry") continue;
      const { annotations = {} } = object.metadata;
      if (annotations[AUTO_REGISTRATION_GROUP] === undefined) continue;
      if (annotations[CONTROLLER] !== this.#options.instance || this.#members.has(keyOf(object))) continue;
      this.#remove(keyOf(object), "never came back");
    }
  }

  #remove(key: ResourceKey, reason: string): void {
    this.#options.logger.info({ event: "registration.removed", entry: key, reason });
    this.#writer?.put(key, undefined);
  }

  #put(entry: WorkloadEntry): void {
    this.#writer?.put(keyOf(entry), entry);
  }

  /** The entry as it is or is about to be. */
  #current(key: ResourceKey): WorkloadEntry | undefined {
    const waiting = this.#writer?.get(key);
    const object = waiting === undefined ? this.#options.object(key) : waiting.object;
    return object?.kind === "WorkloadEntry" ? object : undefined;
  }

  #now(): string {
    return new Date(this.#options.clock.now()).toISOString();
  }
}

function annotated(entry: WorkloadEntry, annotations: Readonly<Record<string, string>>): WorkloadEntry {
  const { metadata } = entry;
  return { ...entry, metadata: { ...metadata, annotations: { ...metadata.annotations, ...annotations } } };
}

function conditionsOf(entry: WorkloadEntry): readonly Readonly<Record<string, unknown>>[] {
  const { conditions } = asRecord(entry.status);
  return Array.isArray(conditions) ? conditions.map(asRecord) : [];
}

function asRecord(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

function refuse(code: number, message: string): Result<never, StreamRefusal> {
  return { ok: false, error: { code, message } };
}
