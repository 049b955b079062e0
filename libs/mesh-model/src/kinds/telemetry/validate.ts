import { celProblem } from "@lateen/cel";
import { codes } from "../../errors.ts";
import type { Infer } from "../../schema/index.ts";
import type { Check } from "../../validation/check.ts";
import { checkSelector } from "../../validation/common.ts";
import { isHeaderName } from "../../validation/headers.ts";
import type { KindContext } from "../index.ts";
import { checkTargets } from "../targets.ts";
import { STANDARD_METRICS, type telemetryBody } from "./schema.ts";

type Spec = NonNullable<Infer<typeof telemetryBody>["spec"]>;
type Tracing = NonNullable<Spec["tracing"]>[number];
type Override = NonNullable<NonNullable<Spec["metrics"]>[number]["overrides"]>[number];

/** Names that Prometheus takes for labels; those that begin with `__` are its own. */
const LABEL = /^(?!__)[a-zA-Z_][a-zA-Z0-9_]*$/;
const METRIC_NAMES: ReadonlySet<string> = new Set(Object.values(STANDARD_METRICS));
/** Lateen's proxies count no messages in these. */
const NEVER_REPORTED: ReadonlySet<string> = new Set(["GRPC_REQUEST_MESSAGES", "GRPC_RESPONSE_MESSAGES"]);

/** telemetry.istio.io Telemetry, as Istio's admission checks it. */
export function validateTelemetry(body: Infer<typeof telemetryBody>, context: KindContext): void {
  const spec = body.spec ?? {};
  const check = context.check.at("spec");
  checkSelector(spec.selector, "matchLabels", check.at("selector"));
  checkTargets(spec, context.metadata.namespace, check);
  for (const part of ["metrics", "accessLogging", "tracing"] as const) {
    for (const [index, { providers = [] }] of (spec[part] ?? []).entries()) {
      for (const [at, { name }] of providers.entries()) {
        if (name === "") check.at(part, index, "providers", at, "name").error("a provider must not be empty");
      }
    }
  }
  for (const [index, { overrides = [] }] of (spec.metrics ?? []).entries()) {
    for (const [at, override] of overrides.entries())
      checkOverride(override, check.at("metrics", index, "overrides", at));
  }
  if ((spec.tracing ?? []).length > 1) check.at("tracing").warn("only the first entry of tracing is used");
  for (const [index, tracing] of (spec.tracing ?? []).entries()) checkTracing(tracing, check.at("tracing", index));
  for (const [index, logging] of (spec.accessLogging ?? []).entries()) {
    const expression = logging.filter?.expression;
    if (expression === undefined) continue;
    const at = check.at("accessLogging", index, "filter", "expression");
    const problem = celProblem(expression, "condition");
    if (problem !== undefined) at.error(`cannot be evaluated as CEL: ${problem}`);
  }
}

function checkOverride({ match, tagOverrides = {} }: Override, check: Check): void {
  const { metric, customMetric } = match ?? {};
  if (metric !== undefined && customMetric !== undefined) {
    check.at("match").error("only one of metric, customMetric is possible");
  }
  if (customMetric !== undefined && !METRIC_NAMES.has(customMetric)) {
    const names = [...METRIC_NAMES].join(", ");
    check.at("match", "customMetric").error(`there is no metric "${customMetric}" (there are ${names})`);
  }
  if (NEVER_REPORTED.has(metric ?? "")) check.at("match", "metric").warn("Lateen's proxies do not report this metric");
  for (const [name, { operation = "UPSERT", value = "" }] of Object.entries(tagOverrides)) {
    const at = check.at("tagOverrides", name);
    if (!LABEL.test(name)) at.error(`"${name}" is not the name of a label`, { part: "key" });
    if (operation === "REMOVE") {
      if (value !== "") at.at("value").error("a tag that is removed has no value");
      continue;
    }
    const problem = celProblem(value, "label");
    if (problem !== undefined) at.at("value").error(`cannot be evaluated as CEL: ${problem}`);
  }
}

function checkTracing({ providers = [], customTags, useRequestIdForTraceSampling }: Tracing, check: Check): void {
  if (useRequestIdForTraceSampling === false) {
    const at = check.at("useRequestIdForTraceSampling");
    at.error("sampling that does not look at the request id is not supported yet", { code: codes.unsupported });
  }
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
