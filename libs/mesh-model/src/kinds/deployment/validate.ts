import { checkProxyConfigAnnotation } from "../../config/annotation.ts";
import { codes } from "../../errors.ts";
import type { Infer } from "../../schema/index.ts";
import type { Check } from "../../validation/check.ts";
import { checkLabels } from "../../validation/names.ts";
import type { KindContext } from "../index.ts";
import { checkPodSpec } from "../pod/validate.ts";
import type { labelSelector } from "../shared.ts";
import type { deploymentBody } from "./schema.ts";

/** apps/v1 Deployment. */
export function validateDeployment(body: Infer<typeof deploymentBody>, context: KindContext): void {
  checkWorkloadTemplate(body.spec, context.check.at("spec"));
}

/** Selector and pod template, which all controllers of pods have. */
export function checkWorkloadTemplate(
  spec: Pick<Infer<typeof deploymentBody>["spec"], "selector" | "template">,
  check: Check,
): void {
  const labels = spec.template.metadata?.labels ?? {};
  checkLabels(labels, check.at("template", "metadata", "labels"));
  checkSelector(spec.selector, labels, check.at("selector"));
  checkProxyConfigAnnotation(spec.template.metadata?.annotations, check.at("template", "metadata"));
  checkPodSpec(spec.template.spec, check.at("template", "spec"));
}

function checkSelector(
  selector: Infer<typeof labelSelector>,
  labels: Readonly<Record<string, string>>,
  check: Check,
): void {
  const { matchLabels = {}, matchExpressions = [] } = selector;
  if (Object.keys(matchLabels).length === 0 && matchExpressions.length === 0) {
    check.error("a selector must not be empty", { code: codes.missingField });
  }
  for (const [key, value] of Object.entries(matchLabels)) {
    if (labels[key] === value) continue;
    check.at("matchLabels", key).error(`the template's labels do not carry ${key}: ${value}`, {
      code: codes.conflict,
      hint: "selector and spec.template.metadata.labels must fit",
    });
  }
  for (const [index, expression] of matchExpressions.entries()) {
    const value = labels[expression.key];
    const listed = value !== undefined && (expression.values ?? []).includes(value);
    const fits = { In: listed, NotIn: !listed, Exists: value !== undefined, DoesNotExist: value === undefined };
    if (!fits[expression.operator]) {
      check
        .at("matchExpressions", index)
        .error("the template's labels do not fit this expression", { code: codes.conflict });
    }
  }
}
