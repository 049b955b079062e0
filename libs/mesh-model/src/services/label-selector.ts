import type { labelSelector } from "../kinds/shared.ts";
import type { Infer } from "../schema/index.ts";

/** meta/v1 LabelSelector. */
export type LabelSelector = Infer<typeof labelSelector>;

/** Whether a selector selects these labels; an empty one selects everything, as Kubernetes has it. */
export function labelSelectorMatches(selector: LabelSelector, labels: Readonly<Record<string, string>>): boolean {
  const own = (key: string): string | undefined => (Object.hasOwn(labels, key) ? labels[key] : undefined);
  const equal = Object.entries(selector.matchLabels ?? {}).every(([key, value]) => own(key) === value);
  return equal && (selector.matchExpressions ?? []).every((expression) => holds(expression, own(expression.key)));
}

function holds(
  { operator, values = [] }: NonNullable<LabelSelector["matchExpressions"]>[number],
  value: string | undefined,
): boolean {
  switch (operator) {
    case "In":
      return value !== undefined && values.includes(value);
    case "NotIn":
      return value === undefined || !values.includes(value);
    case "Exists":
      return value !== undefined;
    case "DoesNotExist":
      return value === undefined;
  }
}
