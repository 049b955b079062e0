import type { RbacConfig } from "@lateen/proxy-filters";
import { compileRbac, type HeadView, type PeerFacts } from "@lateen/traffic";
import { objectOfPolicy } from "./objects.ts";
import type { PolicyVerdict } from "./trace.ts";

/** What an RBAC filter says; undefined when it has no rules. */
export function judge(
  filter: { readonly name: string; readonly config: unknown },
  head: HeadView | undefined,
  peer: PeerFacts,
): PolicyVerdict | undefined {
  // The decoder of this filter made it.
  const { rules } = filter.config as RbacConfig;
  if (rules === undefined) return undefined;
  const { allowed, policy } = compileRbac(rules).evaluate(head, peer);
  return { filter: filter.name, action: rules.action, allowed, policy, object: objectOfPolicy(policy) };
}
