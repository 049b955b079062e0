import type { QuotaGrant, QuotaRequest } from "@lateen/traffic";

/**
 * Counts what was had of limited things, for everybody who shares the store. Adapters: memory, Redis. Each equals {@link QuotaLedger} of
 * `@lateen/traffic` at the times it decides, and never grants more than a limit's `max` in a window, whoever asks at the same time.
 */
export interface QuotaStore {
  /**
   * Decides each request by itself, in their order.
   * @param sinceMs when the question came in, by the monotonic clock of this process: the time that a store gives itself runs from then, so
   * that what it waited for before is not added. Default: now.
   * @returns one grant for each.
   * @throws LateenError, retryable, when the store cannot be asked or does not answer in its time. What was counted is unknown then, and who
   * asked has to know what it does without: the store has no opinion.
   */
  allocate(requests: readonly QuotaRequest[], sinceMs?: number): Promise<readonly QuotaGrant[]>;
}
