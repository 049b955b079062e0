import { formatPath } from "../decode/path.ts";
import { keyOf } from "../key.ts";
import type { Resource } from "../kinds/index.ts";
import { analyzeAuthorization } from "./authorization.ts";
import { analyzeDestinationRules } from "./destination-rules.ts";
import { analyzeGateways } from "./gateways.ts";
import { type FindingCode, findings } from "./messages.ts";
import { analyzeSelectors } from "./selectors.ts";
import { analyzeServices } from "./services.ts";
import type { AnalysisFinding, AnalyzeOptions, Report } from "./types.ts";
import { analyzeVirtualServices } from "./virtual-services.ts";
import { AnalysisWorld } from "./world.ts";

/** Annotation with codes that are not to be reported for an object, or `*`. */
const SUPPRESS = "galley.istio.io/analyze-suppress";

/**
 * Findings that need more than one object: names that lead nowhere, rules in each other's way. Pure; objects are taken as they
 * are, and the order of the findings follows the analyzers, then the objects.
 */
export function analyze(objects: Iterable<Resource>, options: AnalyzeOptions = {}): readonly AnalysisFinding[] {
  const found: AnalysisFinding[] = [];
  const report: Report = (object, code, path, message, hint) => {
    if (isSuppressed(object, code)) return;
    found.push({
      level: "warning",
      code,
      ...findings[code],
      message,
      path: formatPath(path),
      origin: options.originOf?.(object, path) ?? { file: "<memory>", line: 1, column: 1 },
      object: keyOf(object),
      ...(hint === undefined ? {} : { hint }),
    });
  };
  const world = new AnalysisWorld(objects, options);
  analyzeVirtualServices(world, report);
  analyzeDestinationRules(world, report);
  analyzeGateways(world, report);
  analyzeSelectors(world, report);
  analyzeServices(world, report);
  analyzeAuthorization(world, report);
  return found;
}

function isSuppressed(object: Resource, code: FindingCode): boolean {
  const listed = object.metadata.annotations?.[SUPPRESS];
  if (listed === undefined) return false;
  return listed.split(",").some((item) => item.trim() === "*" || item.trim() === code);
}
