import { type Logger, messageOf, type Scope, silentLogger } from "@lateen/kernel";
import type { Lease } from "@lateen/ports";

export interface LeadingOptions {
  readonly lease: Lease;
  readonly name: string;
  readonly scope: Scope;
  readonly logger?: Logger;
}

/**
 * Does something in one replica at a time: `work` begins when this one leads, its scope closes as soon as it may lead no more, and it begins
 * anew when it leads again. Returns at once; what `work` throws is told and ends that turn.
 */
export function whileLeading(
  options: LeadingOptions,
  work: (scope: Scope, fencingToken: number) => Promise<void>,
): void {
  const { lease, name, scope, logger = silentLogger } = options;
  const turn = async () => {
    // The lease is given back with it, so that another may try what failed here.
    const held = scope.child();
    try {
      const { fencingToken, lost } = await lease.acquire(held, name);
      const ended = new Promise<void>((resolve) => lost.addEventListener("abort", () => resolve(), { once: true }));
      const working = held.child();
      lost.addEventListener("abort", () => void working.close().catch(() => undefined), { once: true });
      await work(working, fencingToken);
      await ended;
      logger.info({ event: "lease.lost", lease: name });
    } catch (error) {
      if (!scope.closed) logger.error({ event: "lease.work_failed", lease: name, error: messageOf(error) });
    } finally {
      await held.close().catch(() => undefined);
    }
  };
  void (async () => {
    while (!scope.closed) await turn();
  })();
}
