import type { Infer } from "../../schema/index.ts";
import { celProblem } from "../../validation/cel.ts";
import type { Check } from "../../validation/check.ts";
import { checkSelector } from "../../validation/common.ts";
import { isHeaderName } from "../../validation/headers.ts";
import type { KindContext } from "../index.ts";
import { checkTargets } from "../targets.ts";
import type { telemetryBody } from "./schema.ts";

type Spec = NonNullable<Infer<typeof telemetryBody>["spec"]>;
type Tracing = NonNullable<Spec["tracing"]>[number];

/** telemetry.istio.io Telemetry, as Istio's admission checks it. */
export function validateTelemetry(body: Infer<typeof telemetryBody>, context: KindContext): void {
  const spec = body.spec ?? {};
  const check = context.check.at("spec");
  checkSelector(spec.selector, "matchLabels", check.at("selector"));
  checkTargets(spec, context.metadata.namespace, check);
  for (const part of ["accessLogging", "tracing"] as const) {
    for (const [index, { providers = [] }] of (spec[part] ?? []).entries()) {
      for (const [at, { name }] of providers.entries()) {
        if (name === "") check.at(part, index, "providers", at, "name").error("a provider must not be empty");
      }
    }
  }
  if ((spec.tracing ?? []).length > 1) check.at("tracing").warn("only the first entry of tracing is used");
  for (const [index, tracing] of (spec.tracing ?? []).entries()) checkTracing(tracing, check.at("tracing", index));
  for (const [index, logging] of (spec.accessLogging ?? []).entries()) {
    const expression = logging.filter?.expression;
    if (expression === undefined) continue;
    const at = check.at("accessLogging", index, "filter", "expression");
    const problem = celProblem(expression);
    if (problem !== undefined) at.error(`not an expression in CEL: ${problem}`);
  }
}

function checkTracing({ providers = [], customTags }: Tracing, check: Check): void {
  if (providers.length > 1) check.at("providers").warn("only the first provider is used");
  for (const [name, tag] of Object.entries(customTags ?? {})) {
    const at = check.at("customTags", name);
    if (name === "") at.error("a tag needs a name", { part: "key" });
    const set = (["literal", "environment", "header"] as const).filter((kind) => tag[kind] !== undefined);
    if (set.length !== 1) at.error("exactly one of literal, environment, header is required");
    if (tag.literal?.value === "") at.at("literal", "value").error("a value must not be empty");
    if (tag.environment?.name === "") at.at("environment", "name").error("a name must not be empty");
    if (tag.header !== undefined && !isHeaderName(tag.header.name)) {
      at.at("header", "name").error(`"${tag.header.name}" is not a header name`);
    }
  }
}
