import type { RbacConfig } from "@lateen/proxy-filters";
import { compileRbac, type HeadView, type PeerFacts, type RbacSpec } from "@lateen/traffic";
import { objectOfPolicy } from "./objects.ts";
import type { PolicyVerdict } from "./trace.ts";

/** `istio-ext-authz-PROVIDER-ns[NAMESPACE]-policy[NAME]-rule[N]`, as rules that only find out who is to be asked are named. */
const ASKING = /^istio-ext-authz-(.+)-(ns\[.*\]-policy\[.*\]-rule\[\d+\])$/;

/** What the rules of CUSTOM policies say: a service decides, undefined where none is asked. Its answer is not known here. */
function asked(
  filter: string,
  rules: RbacSpec,
  head: HeadView | undefined,
  peer: PeerFacts,
): PolicyVerdict | undefined {
  const { policy } = compileRbac(rules).evaluate(head, peer);
  const [, provider, name] = ASKING.exec(policy ?? "") ?? [];
  if (provider === undefined) return undefined;
  return { filter, action: "custom", allowed: true, policy: name, object: objectOfPolicy(name), asked: provider };
}

/** What an RBAC filter says; undefined when it has no rules. */
export function judge(
  filter: { readonly name: string; readonly config: unknown },
  head: HeadView | undefined,
  peer: PeerFacts,
): PolicyVerdict | undefined {
  // The decoder of this filter made it.
  const { rules, shadow } = filter.config as RbacConfig;
  if (rules === undefined) return shadow === undefined ? undefined : asked(filter.name, shadow.rules, head, peer);
  const { allowed, policy } = compileRbac(rules).evaluate(head, peer);
  return { filter: filter.name, action: rules.action, allowed, policy, object: objectOfPolicy(policy) };
}
