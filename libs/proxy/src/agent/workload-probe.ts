import { type Clock, type Logger, messageOf, type Scope } from "@lateen/kernel";
import type { ReportedHealth } from "@lateen/xds";
import type { ProbeSpec } from "./probe-spec.ts";

export interface WorkloadProbeOptions {
  readonly spec: ProbeSpec;
  readonly clock: Clock;
  readonly scope: Scope;
  readonly logger: Logger;
  /** Asks the workload once; rejects with what is wrong. */
  readonly ask: (signal: AbortSignal) => Promise<void>;
  /** Told once the first threshold is reached, and then whenever the workload becomes another. */
  readonly report: (health: ReportedHealth) => void;
}

/**
 * Asks the workload again and again until the scope closes, one question at a time, and reports what it is after as many equal
 * answers as the thresholds say.
 */
export function startWorkloadProbe({ spec, clock, scope, logger, ask, report }: WorkloadProbeOptions): void {
  let healthy: boolean | undefined;
  let inRow = { ok: true, count: 0 };
  let open: AbortController | undefined;
  let cancelWait = () => {};
  scope.defer(() => {
    cancelWait();
    open?.abort();
  });

  const judge = (failure: string | undefined): void => {
    const good = failure === undefined;
    inRow = inRow.ok === good ? { ok: good, count: inRow.count + 1 } : { ok: good, count: 1 };
    const threshold = good ? spec.successThreshold : spec.failureThreshold;
    if (healthy === good || inRow.count < threshold) return;
    healthy = good;
    logger.info({ event: "workload.health", healthy, reason: failure });
    report({ healthy, message: failure ?? "" });
  };
  const round = async (): Promise<void> => {
    const abort = new AbortController();
    open = abort;
    const cancelTimeout = clock.after(spec.timeoutMs, () => abort.abort(new Error("took too long")));
    let failure: string | undefined;
    try {
      await ask(abort.signal);
    } catch (error) {
      failure = abort.signal.aborted ? `no answer within ${spec.timeoutMs} ms` : messageOf(error);
    }
    cancelTimeout();
    open = undefined;
    if (scope.closed) return;
    judge(failure);
    cancelWait = clock.after(spec.periodMs, () => void round());
  };
  cancelWait = clock.after(spec.initialDelayMs, () => void round());
}
