import type { LabelSelector } from "@lateen/mesh-model";
import { isObject, type JsonObject } from "./json.ts";

/** Whether a selector says anything. */
export function isEmptySelector({ matchLabels = {}, matchExpressions = [] }: LabelSelector): boolean {
  return Object.keys(matchLabels).length === 0 && matchExpressions.length === 0;
}

/** What one webhook of the MutatingWebhookConfiguration is asked for. */
export interface WebhookSelection {
  /** First part of the webhook's name: `rev.namespace`, `rev.object`, `namespace`, `object`, `auto`. */
  readonly name: string;
  readonly namespaceSelector: LabelSelector;
  readonly objectSelector: LabelSelector;
}

export interface SelectionOptions {
  /** Revision of this injector; `default` is what namespaces without a revision belong to. */
  readonly revision: string;
  /** Serve `istio-injection: enabled` and pods' own `sidecar.istio.io/inject: "true"` as well. Default: for revision `default`. */
  readonly isDefault?: boolean;
  /** Inject where neither namespace nor pod says anything. Default false. */
  readonly enableNamespacesByDefault?: boolean;
}

/** Namespaces of the cluster itself, where nothing is ever injected. */
export const IGNORED_NAMESPACES: readonly string[] = [
  "kube-system",
  "kube-public",
  "kube-node-lease",
  "local-path-storage",
];

const REVISION = "istio.io/rev";
const INJECTION = "istio-injection";
const INJECT = "sidecar.istio.io/inject";
const ABSENT = "DoesNotExist" as const;

/**
 * The webhooks by which an API server picks the pods that this injector is asked about, each a pair of selectors; a pod is sent when one of
 * them fits. `namespaceSelected` decides the same without an API server.
 */
export function webhookSelections(options: SelectionOptions): readonly WebhookSelection[] {
  const { revision, isDefault = revision === "default", enableNamespacesByDefault = false } = options;
  const absent = (key: string) => ({ key, operator: ABSENT });
  const among = (key: string, ...values: string[]) => ({ key, operator: "In" as const, values });
  const notRefused = { key: INJECT, operator: "NotIn" as const, values: ["false"] };
  const select = (
    name: string,
    namespace: LabelSelector["matchExpressions"],
    object: LabelSelector["matchExpressions"],
  ): WebhookSelection => ({
    name,
    namespaceSelector: { matchExpressions: namespace ?? [] },
    objectSelector: { matchExpressions: object ?? [] },
  });
  return [
    select("rev.namespace", [among(REVISION, revision), absent(INJECTION)], [notRefused]),
    select("rev.object", [absent(REVISION), absent(INJECTION)], [notRefused, among(REVISION, revision)]),
    ...(isDefault
      ? [
          select("namespace", [among(INJECTION, "enabled")], [notRefused]),
          select("object", [absent(INJECTION), absent(REVISION)], [among(INJECT, "true"), absent(REVISION)]),
        ]
      : []),
    ...(isDefault && enableNamespacesByDefault
      ? [
          select(
            "auto",
            [
              absent(INJECTION),
              absent(REVISION),
              { key: "kubernetes.io/metadata.name", operator: "NotIn", values: IGNORED_NAMESPACES },
            ],
            [absent(INJECT), absent(REVISION)],
          ),
        ]
      : []),
  ];
}

/** Reads a selector of a configuration. Undefined: it is none. */
export function selectorOf(value: unknown): LabelSelector | undefined {
  if (!isObject(value)) return undefined;
  const { matchLabels, matchExpressions, ...unknown } = value;
  if (Object.keys(unknown).length > 0) return undefined;
  if (matchLabels !== undefined && !isTexts(matchLabels)) return undefined;
  if (matchExpressions !== undefined && !(Array.isArray(matchExpressions) && matchExpressions.every(isExpression))) {
    return undefined;
  }
  return value as LabelSelector;
}

function isTexts(value: unknown): boolean {
  return isObject(value) && Object.values(value).every((text) => typeof text === "string");
}

function isExpression(value: unknown): boolean {
  if (!isObject(value)) return false;
  const { key, operator, values }: JsonObject = value;
  const isListed = Array.isArray(values) && values.length > 0 && values.every((text) => typeof text === "string");
  if (typeof key !== "string" || key === "") return false;
  if (operator === "In" || operator === "NotIn") return isListed;
  return (operator === "Exists" || operator === "DoesNotExist") && (values === undefined || !isListed);
}
