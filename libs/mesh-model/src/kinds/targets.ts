import { codes } from "../errors.ts";
import { type Infer, s } from "../schema/index.ts";
import type { Check } from "../validation/check.ts";

/** istio.type PolicyTargetReference: what of the Gateway API an object is for. */
export const targetReference = s.object({
  group: s.string(),
  kind: s.required(s.string()),
  name: s.required(s.string()),
  namespace: s.string(),
});
export type TargetReference = Infer<typeof targetReference>;

/** The old and the new way to name targets. */
export const targetFields = { targetRef: targetReference, targetRefs: s.array(targetReference) } as const;

/** Whatever is for workloads that a selector selects, or else for targets. */
export interface Targeting {
  readonly selector?: { readonly matchLabels?: Readonly<Record<string, string>> };
  readonly targetRef?: TargetReference;
  readonly targetRefs?: readonly TargetReference[];
}

/** Label of the pods of a Gateway API Gateway, by which its policies find them. */
export const GATEWAY_NAME_LABEL = "gateway.networking.k8s.io/gateway-name";

/** What an object names, either way. */
export function targetsOf({ targetRef, targetRefs = [] }: Omit<Targeting, "selector">): readonly TargetReference[] {
  return targetRef === undefined ? targetRefs : [...targetRefs, targetRef];
}

/** Whether one of these names the Gateway (Gateway API) that a proxy with these labels belongs to. */
export function isTarget(targets: readonly { readonly name: string }[], labels: Readonly<Record<string, string>>) {
  const gateway = labels[GATEWAY_NAME_LABEL];
  return gateway !== undefined && targets.some(({ name }) => name === gateway);
}

/** A target is a Gateway of the object's namespace. There are no waypoints, which the other kinds of targets stand for. */
export function checkTarget(target: TargetReference, namespace: string, check: Check): void {
  if (target.kind !== "Gateway" || (target.group ?? "") !== "gateway.networking.k8s.io") {
    check.at("kind").error("only a Gateway of gateway.networking.k8s.io can be a target", {
      code: codes.unsupported,
      hint: "Service, ServiceEntry and GatewayClass are targets of waypoints, which this release does not have",
    });
  }
  if (target.name === "") check.at("name").error("a target needs a name");
  if (target.namespace !== undefined && target.namespace !== namespace) {
    check.at("namespace").error("a target must be of the same namespace");
  }
}

/** The targets of an object, which exclude each other and a selector. */
export function checkTargets(spec: Targeting, namespace: string, check: Check): void {
  const { selector, targetRef, targetRefs = [] } = spec;
  if (targetRef !== undefined) checkTarget(targetRef, namespace, check.at("targetRef"));
  for (const [index, target] of targetRefs.entries()) checkTarget(target, namespace, check.at("targetRefs", index));
  const ways = [selector, targetRef, targetRefs.length > 0 ? targetRefs : undefined];
  if (ways.filter((way) => way !== undefined).length > 1) {
    check.error("only one of selector, targetRef and targetRefs can be used", { code: codes.conflict });
  }
}
