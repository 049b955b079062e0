import { type LabelSelector, labelSelectorMatches } from "@lateen/mesh-model";
import { IGNORED_NAMESPACES, isEmptySelector, type SelectionOptions, webhookSelections } from "./selectors.ts";

type Texts = Readonly<Record<string, string>>;

/** What the decision whether to inject looks at. */
export interface DecisionInput {
  readonly namespace: string;
  /**
   * Labels of the namespace. Undefined: whoever asks has looked at them already (an API server by its webhooks' selectors), or there are none
   * to look at (files).
   */
  readonly namespaceLabels?: Texts | undefined;
  readonly labels: Texts;
  readonly annotations: Texts;
  readonly hostNetwork: boolean;
  /** The pod carries a sidecar already. */
  readonly injected?: boolean;
}

/** What an installation says about it. */
export interface DecisionPolicy extends SelectionOptions {
  readonly policy: "enabled" | "disabled";
  readonly neverInjectSelector: readonly LabelSelector[];
  readonly alwaysInjectSelector: readonly LabelSelector[];
}

/** Why a pod gets a sidecar, or none. */
export type DecisionReason =
  | "host-network"
  | "ignored-namespace"
  | "namespace"
  | "ambient"
  | "already-injected"
  | "label"
  | "annotation"
  | "never-inject-selector"
  | "always-inject-selector"
  | "policy";

export interface Decision {
  readonly inject: boolean;
  readonly reason: DecisionReason;
}

const INJECT = "sidecar.istio.io/inject";

/**
 * Whether a pod gets a sidecar. The first that says anything decides: host network (no), namespaces of the cluster (no), what the namespace's
 * labels allow, pods of ambient mode (no), pods that have one (no), the pod's label or else annotation `sidecar.istio.io/inject`,
 * `neverInjectSelector`, `alwaysInjectSelector`, the policy. A value of `inject` other than true and false counts as none.
 */
export function decideInjection(input: DecisionInput, config: DecisionPolicy): Decision {
  const { namespace, namespaceLabels, labels, annotations } = input;
  if (input.hostNetwork) return no("host-network");
  if (IGNORED_NAMESPACES.includes(namespace)) return no("ignored-namespace");
  if (namespaceLabels !== undefined && !namespaceSelected(namespace, namespaceLabels, labels, config)) {
    return no("namespace");
  }
  if (labels["istio.io/dataplane-mode"] === "ambient") return no("ambient");
  if (input.injected === true) return no("already-injected");
  const written = labels[INJECT] ?? annotations[INJECT];
  if (written === "true" || written === "false") {
    return { inject: written === "true", reason: labels[INJECT] === undefined ? "annotation" : "label" };
  }
  const fits = (selectors: readonly LabelSelector[]): boolean =>
    selectors.some((selector) => !isEmptySelector(selector) && labelSelectorMatches(selector, labels));
  if (fits(config.neverInjectSelector)) return no("never-inject-selector");
  if (fits(config.alwaysInjectSelector)) return { inject: true, reason: "always-inject-selector" };
  return { inject: config.policy === "enabled", reason: "policy" };
}

/** Whether the labels of namespace and pod would make an API server ask this injector. */
export function namespaceSelected(
  namespace: string,
  namespaceLabels: Texts,
  labels: Texts,
  options: SelectionOptions,
): boolean {
  // API servers put the name among a namespace's labels.
  const named = { "kubernetes.io/metadata.name": namespace, ...namespaceLabels };
  return webhookSelections(options).some(
    ({ namespaceSelector, objectSelector }) =>
      labelSelectorMatches(namespaceSelector, named) && labelSelectorMatches(objectSelector, labels),
  );
}

function no(reason: DecisionReason): Decision {
  return { inject: false, reason };
}
