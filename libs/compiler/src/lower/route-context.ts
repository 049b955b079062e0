import type { MeshConfig, MeshService } from "@lateen/mesh-model";
import type { ConsistentHash } from "./load-balancing.ts";
import type { RuleContext } from "./route-match.ts";

/** What compiling routes may look up. */
export interface RouteContext extends RuleContext {
  readonly domain: string;
  readonly service: (host: string) => MeshService | undefined;
  /** Consistent hashing of a destination, as its rule asks for it. */
  readonly consistentHash: (host: string, port: number, subset: string) => ConsistentHash | undefined;
  readonly retry: MeshConfig["defaultHttpRetryPolicy"];
  /** Clients speak TLS to the listener. */
  readonly secure: boolean;
  /** Adds the rule's place to route metadata, for `explain`. */
  readonly annotate: boolean;
  /** Requests carry the number of the attempt. */
  readonly tellAttempts: boolean;
  /** Upstreams are told the host that was asked for where a route replaces it. */
  readonly tellHost: boolean;
}
