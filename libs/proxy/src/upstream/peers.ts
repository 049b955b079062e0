import type { SharedLoad } from "./shared-load.ts";

/** What one worker of a process tells the others of upstreams. Endpoints go by their key within their cluster. */
export type PeerNote =
  /** An active health check's judgement. */
  | { readonly kind: "health"; readonly cluster: string; readonly endpoint: string; readonly ill: boolean }
  /** Outlier detection holds it back, from now on and for as long as its record says. */
  | { readonly kind: "ejected"; readonly cluster: string; readonly endpoint: string }
  /** Somebody uses a cluster whose health checks depend on it. */
  | { readonly kind: "used"; readonly cluster: string };

/** The other workers of the process, as clusters see them. */
export interface UpstreamPeers {
  /** Where the load of a cluster's priority is counted for all workers; undefined: nobody has made room for it. */
  load(cluster: string, high: boolean): SharedLoad | undefined;
  /** This worker asks endpoints whether they are well, for all. */
  readonly probes: boolean;
  tell(note: PeerNote): void;
}
