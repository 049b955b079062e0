import type { Scope } from "@lateen/kernel";

/** Held leadership. `fencingToken` grows with every holder; writes carry it, so a former leader is refused. */
export interface HeldLease {
  readonly fencingToken: number;
  /** Aborts as soon as the lease may be lost. */
  readonly lost: AbortSignal;
}

/** One leader among replicas. Adapters: file lock, Kubernetes Lease. */
export interface Lease {
  /** Resolves when this process leads; gives the lease back when the scope closes. */
  acquire(scope: Scope, name: string): Promise<HeldLease>;
}
