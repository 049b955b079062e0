import type { MeshConfig, MeshService } from "@lateen/mesh-model";
import type { RuleContext } from "./route-match.ts";

/** What compiling routes may look up. */
export interface RouteContext extends RuleContext {
  readonly domain: string;
  readonly service: (host: string) => MeshService | undefined;
  readonly retry: MeshConfig["defaultHttpRetryPolicy"];
  /** Clients speak TLS to the listener. */
  readonly secure: boolean;
  /** Adds the rule's place to route metadata, for `explain`. */
  readonly annotate: boolean;
}
