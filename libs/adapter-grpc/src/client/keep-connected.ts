import { type Clock, messageOf, type Random, type Scope, systemClock } from "@lateen/kernel";

/** Time and chance of the reconnecting clients. */
export interface ClientDeps {
  readonly clock: Clock;
  readonly random: Random;
}

/** The process's own clock and chance. */
export function systemDeps(): ClientDeps {
  return { clock: systemClock(), random: { next: () => Math.random() } };
}

const FIRST_MS = 100;
const MAX_MS = 10_000;

/** How a connection ended. */
export interface Ending {
  readonly reason: string;
  /** It had worked, so the next one is tried soon. */
  readonly healthy: boolean;
}

/**
 * Opens a connection, and again whenever it ended, until the scope closes. Waits between attempts grow from 0.1 s to 10 s; each
 * is drawn from the upper half of its bound, so that many clients of a restarted server do not come at once.
 * `open` returns what aborts the connection; it may throw, which counts as an ended connection.
 */
export function keepConnected(
  scope: Scope,
  deps: ClientDeps,
  open: (ended: (ending: Ending) => void) => () => void,
  onFailure: (reason: string) => void,
): void {
  let abort: (() => void) | undefined;
  let cancelTimer: (() => void) | undefined;
  let failures = 0;
  const attempt = () => {
    if (scope.closed) return;
    let over = false;
    const ended = (ending: Ending) => {
      if (over) return;
      over = true;
      abort?.();
      abort = undefined;
      if (scope.closed) return;
      onFailure(ending.reason);
      failures = ending.healthy ? 0 : failures + 1;
      cancelTimer = deps.clock.after(backoffMs(failures, deps.random), attempt);
    };
    try {
      const close = open(ended);
      if (over) close();
      else abort = close;
    } catch (error) {
      ended({ reason: messageOf(error), healthy: false });
    }
  };
  scope.defer(() => {
    cancelTimer?.();
    abort?.();
  });
  attempt();
}

/** Milliseconds before the next attempt after so many failures in a row. */
export function backoffMs(failures: number, random: Random): number {
  const bound = Math.min(MAX_MS, FIRST_MS * 2 ** Math.min(failures, 16));
  return bound * (0.5 + random.next() / 2);
}
