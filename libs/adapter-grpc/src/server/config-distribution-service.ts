import { type ServerUnaryCall, type ServerWritableStream, type sendUnaryData, status } from "@grpc/grpc-js";
import { LateenError, type Logger, messageOf, Scope } from "@lateen/kernel";
import { parseControlAccount, parseResourceKey } from "@lateen/mesh-model";
import type { AcceptedObject, Caller, ConfigWriter, StateDelta, StateTopic } from "@lateen/ports";
import {
  ConfigDistributionService,
  type WatchRequest,
  type WatchResponse,
  type WriteRequest,
  type WriteResponse,
} from "@lateen/proto/lateen/config/v1/config";
import { fromWriteRequest, toConfigEntry } from "../config-entry.ts";
import { identify, statusError } from "./peer.ts";
import type { Authenticator, GrpcService } from "./service.ts";

export interface ConfigDistributionOptions {
  /** The bus's config topic. */
  readonly topic: StateTopic<AcceptedObject>;
  readonly authenticator: Authenticator;
  /** Who may read the whole configuration, secrets included. Default: callers of the namespace `istio-system`. */
  readonly allow?: (caller: Caller) => boolean;
  /** Takes what components of the mesh write; without it they are told UNIMPLEMENTED. */
  readonly writer?: ConfigWriter;
  /** Who may write. Default: pilot's service account. */
  readonly allowWrite?: (caller: Caller) => boolean;
  readonly logger: Logger;
}

/** The component that makes objects of its own, for workloads that register themselves. */
const WRITER = "pilot";

type Call = ServerWritableStream<WatchRequest, WatchResponse>;
type WriteCall = ServerUnaryCall<WriteRequest, WriteResponse>;

/**
 * Serves `lateen.config.v1.ConfigDistribution`: a snapshot, then deltas; deltas are merged while the client is slow. What is written is
 * durable before it is answered.
 */
export function configDistributionService(options: ConfigDistributionOptions): GrpcService {
  const { authenticator, logger } = options;
  const allow = options.allow ?? ((caller: Caller) => caller.namespace === "istio-system");
  const open = new Set<(code: number, message: string) => void>();
  const watch = async (call: Call) => {
    const scope = new Scope();
    const finish = () => {
      open.delete(end);
      void scope.close();
    };
    const end = (code: number, message: string) => {
      if (scope.closed) return;
      call.emit("error", statusError(code, message));
      finish();
    };
    open.add(end);
    call.on("cancelled", finish);
    call.on("close", finish);
    call.on("error", (error) => {
      logger.debug({ event: "config.stream_ended", reason: messageOf(error) });
      finish();
    });
    const caller = await identify(authenticator, call);
    if (scope.closed) return;
    if (!caller.ok) {
      logger.warn({ event: "config.refused", peer: call.getPeer(), reason: caller.error });
      return end(status.UNAUTHENTICATED, caller.error);
    }
    if (!allow(caller.value)) {
      return end(status.PERMISSION_DENIED, `namespace ${caller.value.namespace} may not read the configuration`);
    }
    const outbox = new Outbox(call, new Set(call.request.kinds));
    options.topic.watch(scope, (delta) => {
      if (!scope.closed) outbox.put(delta);
    });
  };
  return {
    name: "lateen.config.v1.ConfigDistribution",
    definition: ConfigDistributionService,
    implementation: {
      watch: (call: Call) => void watch(call),
      write: (call: WriteCall, reply: sendUnaryData<WriteResponse>) => void write(options, call, reply),
    },
    drain: () => {
      for (const end of [...open]) end(status.UNAVAILABLE, "the server is shutting down");
    },
  };
}

async function write(
  options: ConfigDistributionOptions,
  call: WriteCall,
  reply: sendUnaryData<WriteResponse>,
): Promise<void> {
  const { authenticator, writer, logger } = options;
  const allow = options.allowWrite ?? mayWrite;
  const caller = await identify(authenticator, call);
  if (!caller.ok) return reply(statusError(status.UNAUTHENTICATED, caller.error));
  const { namespace, serviceAccount } = caller.value;
  if (!allow(caller.value)) {
    logger.warn({ event: "config.write_refused", peer: call.getPeer(), namespace, serviceAccount });
    return reply(statusError(status.PERMISSION_DENIED, `${namespace}/${serviceAccount} may not write configuration`));
  }
  if (writer === undefined) return reply(statusError(status.UNIMPLEMENTED, "this server takes no configuration"));
  const change = fromWriteRequest(call.request);
  if (!change.ok) return reply(statusError(status.INVALID_ARGUMENT, change.error));
  try {
    await writer.write(change.value);
    reply(null, {});
  } catch (error) {
    const user = error instanceof LateenError && error.fault === "user";
    reply(statusError(user ? status.INVALID_ARGUMENT : status.UNAVAILABLE, messageOf(error)));
  }
}

function mayWrite({ namespace, serviceAccount }: Caller): boolean {
  return namespace === "istio-system" && parseControlAccount(serviceAccount)?.component === WRITER;
}

/** At most one message at the network and one that collects what came meanwhile; never more entries than there are keys. */
class Outbox {
  readonly #call: Call;
  readonly #kinds: ReadonlySet<string>;
  #pending:
    | { snapshot: boolean; revision: number; epoch: number; entries: Map<string, AcceptedObject | undefined> }
    | undefined;
  #writing = false;

  constructor(call: Call, kinds: ReadonlySet<string>) {
    this.#call = call;
    this.#kinds = kinds;
  }

  put(delta: StateDelta<AcceptedObject>): void {
    const merged =
      this.#pending === undefined || delta.snapshot
        ? { snapshot: delta.snapshot || this.#pending?.snapshot === true, revision: 0, epoch: 0, entries: new Map() }
        : this.#pending;
    merged.revision = delta.revision;
    merged.epoch = delta.epoch ?? 0;
    for (const key of delta.removed) if (this.#wants(key)) merged.entries.set(key, undefined);
    for (const { key, value } of delta.upserted) if (this.#wants(key)) merged.entries.set(key, value);
    this.#pending = merged;
    this.#flush();
  }

  #wants(key: string): boolean {
    return this.#kinds.size === 0 || this.#kinds.has(parseResourceKey(key)?.kind ?? "");
  }

  #flush(): void {
    const pending = this.#pending;
    if (pending === undefined || this.#writing) return;
    this.#pending = undefined;
    this.#writing = true;
    const response: WatchResponse = {
      upserted: [],
      removed: [],
      revision: BigInt(pending.revision),
      snapshot: pending.snapshot,
      epoch: BigInt(pending.epoch),
    };
    for (const [key, value] of pending.entries) {
      if (value !== undefined) response.upserted.push(toConfigEntry(key, value));
      else if (!pending.snapshot) response.removed.push(key);
    }
    this.#call.write(response, () => {
      this.#writing = false;
      this.#flush();
    });
  }
}
