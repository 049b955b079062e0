import type { HeaderValueOption } from "@lateen/proto/envoy/config/core/v3/base";
import { headerOption } from "./proto.ts";
import type { HttpRule } from "./route-match.ts";

type Headers = HttpRule["headers"];

interface RouteHeaderEdits {
  readonly requestHeadersToAdd: HeaderValueOption[];
  readonly requestHeadersToRemove: string[];
  readonly responseHeadersToAdd: HeaderValueOption[];
  readonly responseHeadersToRemove: string[];
}

/** Header operations of a rule or destination; set before add. `Host` is not among them: see {@link hostOf}. */
export function headerEdits(headers: Headers): RouteHeaderEdits {
  return {
    requestHeadersToAdd: additions(headers?.request).filter((option) => !isHost(option.header?.key ?? "")),
    requestHeadersToRemove: [...(headers?.request?.remove ?? [])],
    responseHeadersToAdd: additions(headers?.response),
    responseHeadersToRemove: [...(headers?.response?.remove ?? [])],
  };
}

/**
 * Header operations of a rule with one destination. Istio writes both on the route, those of the destination last, so of two that
 * set a header the destination's wins; with several destinations Envoy applies those of the rule last.
 */
export function singleDestinationEdits(rule: Headers, destination: Headers): RouteHeaderEdits {
  const [first, second] = [headerEdits(rule), headerEdits(destination)];
  return {
    requestHeadersToAdd: [...first.requestHeadersToAdd, ...second.requestHeadersToAdd],
    requestHeadersToRemove: [...first.requestHeadersToRemove, ...second.requestHeadersToRemove],
    responseHeadersToAdd: [...first.responseHeadersToAdd, ...second.responseHeadersToAdd],
    responseHeadersToRemove: [...first.responseHeadersToRemove, ...second.responseHeadersToRemove],
  };
}

function additions(operations: NonNullable<Headers>["request"]): HeaderValueOption[] {
  const pairs = (record: Readonly<Record<string, string>> | undefined) =>
    Object.entries(record ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
  return [
    ...pairs(operations?.set).map(([name, value]) => headerOption(name, value, "set")),
    ...pairs(operations?.add).map(([name, value]) => headerOption(name, value, "append")),
  ];
}

function isHost(name: string): boolean {
  const lower = name.toLowerCase();
  return lower === "host" || lower === ":authority";
}

/** Setting `Host` means rewriting the authority. */
export function hostOf(headers: Headers): string | undefined {
  return Object.entries(headers?.request?.set ?? {}).find(([name]) => isHost(name))?.[1];
}
