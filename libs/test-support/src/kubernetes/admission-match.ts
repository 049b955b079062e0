import type { ApiResource } from "./resource-table.ts";
import type { Json } from "./storage.ts";

/** A webhook of a MutatingWebhookConfiguration or a ValidatingWebhookConfiguration (admissionregistration.k8s.io/v1). */
export interface Webhook {
  readonly name: string;
  readonly clientConfig: {
    readonly caBundle?: string;
    readonly service: {
      readonly name: string;
      readonly namespace: string;
      readonly path?: string;
      readonly port?: number;
    };
  };
  readonly rules?: readonly Rule[];
  readonly namespaceSelector?: LabelSelector;
  readonly objectSelector?: LabelSelector;
  /** Default `Fail`. */
  readonly failurePolicy?: "Fail" | "Ignore";
  /** Default `Equivalent`. */
  readonly matchPolicy?: "Equivalent" | "Exact";
  /** Default `Never`. */
  readonly reinvocationPolicy?: "Never" | "IfNeeded";
  /** Default 10. */
  readonly timeoutSeconds?: number;
  readonly admissionReviewVersions: readonly string[];
}

interface Rule {
  readonly operations: readonly string[];
  readonly apiGroups: readonly string[];
  readonly apiVersions: readonly string[];
  readonly resources: readonly string[];
  /** Default `*`. */
  readonly scope?: "*" | "Cluster" | "Namespaced";
}

interface LabelSelector {
  readonly matchLabels?: Labels;
  readonly matchExpressions?: readonly {
    readonly key: string;
    readonly operator: "In" | "NotIn" | "Exists" | "DoesNotExist";
    readonly values?: readonly string[];
  }[];
}

export type Labels = Readonly<Record<string, string>>;
export type Operation = "CREATE" | "UPDATE" | "DELETE";

/** What is about to happen. */
export interface Attempt {
  readonly operation: Operation;
  readonly resource: ApiResource;
  /** Version of the request. */
  readonly version: string;
  readonly subresource: string | undefined;
  readonly namespace: string | undefined;
  readonly name: string | undefined;
  readonly object: Json | undefined;
  readonly oldObject: Json | undefined;
}

/** Whether a webhook is to be asked. @param namespaceLabels of the namespace that the object is in. */
export function isAsked(webhook: Webhook, attempt: Attempt, namespaceLabels: Labels): boolean {
  const { rules = [], namespaceSelector = {}, objectSelector = {} } = webhook;
  const { resource, object, oldObject } = attempt;
  if (!rules.some((rule) => ruleMatches(rule, webhook.matchPolicy ?? "Equivalent", attempt))) return false;
  // An object that is in no namespace is never left out for one, unless it is a namespace itself.
  if (resource.kind === "Namespace" && !selects(namespaceSelector, labelsOf(object ?? oldObject))) return false;
  if (resource.namespaced && !selects(namespaceSelector, namespaceLabels)) return false;
  return [object, oldObject].some((each) => each !== undefined && selects(objectSelector, labelsOf(each)));
}

function ruleMatches(rule: Rule, matchPolicy: "Equivalent" | "Exact", attempt: Attempt): boolean {
  const { resource, subresource, version, operation } = attempt;
  const has = (list: readonly string[], ...values: readonly string[]) =>
    list.includes("*") || values.some((value) => list.includes(value));
  const versions = matchPolicy === "Exact" ? [version] : resource.versions;
  const { plural } = resource;
  const resources =
    subresource === undefined ? [plural] : [`${plural}/${subresource}`, `${plural}/*`, `*/${subresource}`];
  const { scope = "*" } = rule;
  return (
    has(rule.operations, operation) &&
    has(rule.apiGroups, resource.group) &&
    has(rule.apiVersions, ...versions) &&
    (rule.resources.includes("*/*") ||
      (subresource === undefined && rule.resources.includes("*")) ||
      resources.some((each) => rule.resources.includes(each))) &&
    (scope === "*" || (scope === "Namespaced") === resource.namespaced)
  );
}

function selects({ matchLabels = {}, matchExpressions = [] }: LabelSelector, labels: Labels): boolean {
  return (
    Object.entries(matchLabels).every(([key, value]) => labels[key] === value) &&
    matchExpressions.every(({ key, operator, values = [] }) => {
      const value = labels[key];
      switch (operator) {
        case "In":
          return value !== undefined && values.includes(value);
        case "NotIn":
          return value === undefined || !values.includes(value);
        case "Exists":
          return value !== undefined;
        case "DoesNotExist":
          return value === undefined;
        default:
          throw new Error(`the operator ${String(operator satisfies never)} is not known here`);
      }
    })
  );
}

function labelsOf(object: Json | undefined): Labels {
  return (object?.metadata as { readonly labels?: Labels } | undefined)?.labels ?? {};
}
