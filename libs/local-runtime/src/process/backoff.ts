/** How long to wait before a restart. */
export interface RestartPolicy {
  /** Milliseconds before restart number `n`, counted from 1. */
  readonly delayMs: (n: number) => number;
  /** A process that ran this long without ending starts counting from 1 again. */
  readonly resetAfterMs: number;
}

/**
 * Containers, as Kubernetes does: 10 s, doubled each time, at most 5 min, forgotten after 10 min of running; except that the first
 * restart is quick, because on a developer's machine the cause is usually being mended.
 */
export const containerRestarts: RestartPolicy = {
  delayMs: (n) => (n <= 1 ? 200 : Math.min(10_000 * 2 ** (n - 2), 300_000)),
  resetAfterMs: 600_000,
};

/** Proxies and the control plane: they hold others up, so they come back quickly: 100 ms, doubled, at most 5 s. */
export const meshRestarts: RestartPolicy = {
  delayMs: (n) => Math.min(100 * 2 ** (Math.max(n, 1) - 1), 5_000),
  resetAfterMs: 5_000,
};
