import type { Clock } from "@lateen/kernel";
import type { QuotaStore } from "@lateen/ports";
import { QuotaLedger, type QuotaRequest } from "@lateen/traffic";
import { quotaStoreFull } from "../errors.ts";

export interface MemoryQuotaOptions {
  readonly clock: Clock;
  /** Counters and remembered answers at a time; what needs a further one fails. Default 100,000. */
  readonly maxEntries?: number;
}

/** Looking for what has lost its effect costs as much as there is, so it is done at most this often. */
const EXPIRE_EVERY_MS = 1_000;

/**
 * Counts in this process alone. Nothing that still has an effect is ever forgotten to make room, because that would grant it twice.
 * Fails with LTN6107 when it is full.
 */
export function memoryQuotaStore({ clock, maxEntries = 100_000 }: MemoryQuotaOptions): QuotaStore {
  const ledger = new QuotaLedger();
  let expiredAt = clock.now();

  function makeRoom(request: QuotaRequest, now: number): void {
    const due = now - expiredAt >= EXPIRE_EVERY_MS || now < expiredAt;
    if (due) {
      expiredAt = now;
      ledger.expire(now);
    }
    const wanted = (ledger.knows(request) ? 0 : 1) + (request.dedup === undefined ? 0 : 1);
    if (wanted > 0 && ledger.size + wanted > maxEntries) throw quotaStoreFull(maxEntries);
  }

  return {
    async allocate(requests) {
      return requests.map((request) => {
        const now = Math.floor(clock.now());
        makeRoom(request, now);
        return ledger.allocate(request, now);
      });
    },
  };
}
