import { codes } from "../../errors.ts";
import type { Infer } from "../../schema/index.ts";
import type { Check } from "../../validation/check.ts";
import { checkRegex, checkSelector } from "../../validation/common.ts";
import type { KindContext } from "../index.ts";
import { checkTarget } from "../targets.ts";
import type { APPLY_TO, envoyFilterBody, PATCH_OPERATIONS } from "./schema.ts";

type Spec = NonNullable<Infer<typeof envoyFilterBody>["spec"]>;
type ConfigPatch = NonNullable<Spec["configPatches"]>[number];
type ApplyTo = (typeof APPLY_TO)[number];
type Operation = (typeof PATCH_OPERATIONS)[number];
type Subject = "listener" | "routeConfiguration" | "cluster";

const MERGES: readonly Operation[] = ["MERGE", "MERGE_AND_REPLACE_LIST"];
const WHOLE: readonly Operation[] = [...MERGES, "ADD", "REMOVE"];
const ORDERED: readonly Operation[] = ["INSERT_BEFORE", "INSERT_AFTER", "INSERT_FIRST"];

/** Operations that make sense for what is patched, and the field of `match` that selects it. */
const RULES: Readonly<Record<ApplyTo, { readonly operations: readonly Operation[]; readonly match?: Subject }>> = {
  LISTENER: { operations: WHOLE, match: "listener" },
  FILTER_CHAIN: { operations: WHOLE, match: "listener" },
  LISTENER_FILTER: { operations: [...WHOLE, ...ORDERED, "REPLACE"], match: "listener" },
  NETWORK_FILTER: { operations: [...WHOLE, ...ORDERED, "REPLACE"], match: "listener" },
  HTTP_FILTER: { operations: [...WHOLE, ...ORDERED, "REPLACE"], match: "listener" },
  ROUTE_CONFIGURATION: { operations: MERGES, match: "routeConfiguration" },
  VIRTUAL_HOST: { operations: WHOLE, match: "routeConfiguration" },
  HTTP_ROUTE: { operations: [...WHOLE, ...ORDERED], match: "routeConfiguration" },
  CLUSTER: { operations: WHOLE, match: "cluster" },
  EXTENSION_CONFIG: { operations: ["ADD"] },
  BOOTSTRAP: { operations: MERGES },
};

/** networking.istio.io EnvoyFilter, as Istio's admission checks it. Whether values are Envoy's messages is found when they are applied. */
export function validateEnvoyFilter(body: Infer<typeof envoyFilterBody>, context: KindContext): void {
  const { workloadSelector, targetRefs, configPatches = [] } = body.spec ?? {};
  const check = context.check.at("spec");
  checkSelector(workloadSelector, "labels", check.at("workloadSelector"));
  if (workloadSelector !== undefined && targetRefs !== undefined && targetRefs.length > 0) {
    check.at("targetRefs").error("only one of targetRefs and workloadSelector can be used", { code: codes.conflict });
  }
  for (const [index, target] of (targetRefs ?? []).entries()) {
    checkTarget(target, context.metadata.namespace, check.at("targetRefs", index));
  }
  for (const [index, patch] of configPatches.entries()) checkPatch(patch, check.at("configPatches", index));
}

function checkPatch(configPatch: ConfigPatch, check: Check): void {
  const { applyTo, match, patch } = configPatch;
  const { operation, value, filterClass } = patch;
  const rules = RULES[applyTo];
  if (match?.context === "WAYPOINT") {
    check.at("match", "context").error("there are no waypoints", { code: codes.unsupported });
  }
  if (!rules.operations.includes(operation)) {
    check.at("patch", "operation").error(`${operation} cannot be used for ${applyTo}`, {
      hint: `use one of ${rules.operations.join(", ")}`,
      code: codes.conflict,
    });
  }
  const needed = operation !== "REMOVE";
  if (needed && (typeof value !== "object" || value === null || Array.isArray(value))) {
    check.at("patch").error(`${operation} needs a value, a message of Envoy`, { code: codes.missingField });
  }
  for (const subject of ["listener", "routeConfiguration", "cluster"] as const) {
    if (match?.[subject] !== undefined && rules.match !== subject) {
      check
        .at("match", subject)
        .error(`${applyTo} cannot be selected by ${subject}`, { code: codes.conflict, part: "key" });
    }
  }
  if (filterClass !== undefined && filterClass !== "UNSPECIFIED" && applyTo !== "HTTP_FILTER") {
    check.at("patch", "filterClass").error("only HTTP filters have a class", { code: codes.conflict, part: "key" });
  }
  const version = match?.proxy?.proxyVersion;
  if (version !== undefined && version !== "") checkRegex(version, check.at("match", "proxy", "proxyVersion"));
  checkReach(configPatch, check);
}

/** What Istio warns about: positions that other filters may take away, and filters without a type. */
function checkReach({ applyTo, match, patch }: ConfigPatch, check: Check): void {
  const relative = patch.operation === "INSERT_BEFORE" || patch.operation === "INSERT_AFTER";
  const { filterChain, listenerFilter } = match?.listener ?? {};
  const named =
    applyTo === "HTTP_FILTER"
      ? filterChain?.filter?.subFilter?.name
      : applyTo === "NETWORK_FILTER"
        ? filterChain?.filter?.name
        : applyTo === "LISTENER_FILTER"
          ? listenerFilter
          : match?.routeConfiguration?.vhost?.route?.name;
  if (relative && !named) check.at("match").warn("nothing says before or after what: the first or last place is taken");
  const { value } = patch;
  const filter = applyTo.endsWith("_FILTER") && typeof value === "object" && value !== null ? value : undefined;
  if (filter !== undefined && patch.operation !== "REMOVE" && !MERGES.includes(patch.operation)) {
    const typed = ["typed_config", "typedConfig", "config_discovery", "configDiscovery"];
    if (!typed.some((field) => field in filter)) check.at("patch", "value").warn("the filter has no typed_config");
  }
}
