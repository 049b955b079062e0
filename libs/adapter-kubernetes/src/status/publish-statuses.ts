import { type Clock, type Logger, messageOf, type Scope, silentLogger, systemClock } from "@lateen/kernel";
import { parseResourceKey, type ResourceKey } from "@lateen/mesh-model";
import type { StatusWriter } from "@lateen/ports";
import { type Fields, isFields } from "../client/objects.ts";
import { pause } from "../watch/pauses.ts";

/** Lease of the replica that writes statuses; Istio's name. */
export const STATUS_LEASE = "istio-gateway-status-leader";

/** What the statuses of objects are. */
export interface StatusSource {
  /** Another number whenever statuses may be others. */
  version(): number;
  /** By `Kind/namespace/name`. */
  statuses(): Readonly<Record<string, unknown>>;
}

export interface PublishStatusesOptions {
  readonly writer: StatusWriter;
  readonly source: StatusSource;
  readonly scope: Scope;
  readonly clock?: Clock;
  readonly logger?: Logger;
  /** Milliseconds between looks. Default 1000. */
  readonly everyMs?: number;
  /** Milliseconds after which what could not be written is tried again. Default 30,000. */
  readonly retryMs?: number;
}

/** Writes statuses as they change, one after the other, until the scope closes. For one replica at a time. */
export async function publishStatuses(options: PublishStatusesOptions): Promise<void> {
  const { writer, source, scope, clock = systemClock(), logger = silentLogger } = options;
  const { everyMs = 1000, retryMs = 30_000 } = options;
  let seen: number | undefined;
  let retryAt = Number.POSITIVE_INFINITY;
  while (!scope.closed) {
    const version = source.version();
    if (version !== seen || clock.monotonic() >= retryAt) {
      seen = version;
      const reasons = await writeAll(writer, source.statuses(), scope);
      retryAt = reasons.size === 0 ? Number.POSITIVE_INFINITY : clock.monotonic() + retryMs;
      for (const [reason, count] of reasons) logger.warn({ event: "status.not_written", reason, count });
    }
    await pause(clock, everyMs, scope.signal);
  }
}

/** @returns why some were not written, with their number. */
async function writeAll(
  writer: StatusWriter,
  statuses: Readonly<Record<string, unknown>>,
  scope: Scope,
): Promise<ReadonlyMap<string, number>> {
  const reasons = new Map<string, number>();
  for (const [key, status] of Object.entries(statuses)) {
    if (scope.closed) break;
    if (!isFields(status) || parseResourceKey(key) === undefined || isForeign(status)) continue;
    try {
      // Whoever made it up made a key.
      await writer.writeStatus(key as ResourceKey, status);
    } catch (error) {
      const reason = messageOf(error);
      reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
    }
  }
  return reasons;
}

/** An object that waits for a controller has another one, or none: its status is not ours to write. */
function isForeign({ conditions, ...rest }: Fields): boolean {
  if (!Array.isArray(conditions) || conditions.length === 0 || Object.keys(rest).length > 0) return false;
  return conditions.every((one) => isFields(one) && one.reason === "Pending" && one.status === "Unknown");
}
