import type { MeshConfig, MeshService } from "@lateen/mesh-model";
import { shortHostToFqdn } from "@lateen/mesh-model";
import { durationFromMs, packAny } from "@lateen/proto";
import type { HeaderValueOption } from "@lateen/proto/envoy/config/core/v3/base";
import {
  DirectResponseAction,
  RedirectAction,
  RedirectAction_RedirectResponseCode,
  RetryPolicy,
  Route,
  RouteAction,
  RouteAction_RequestMirrorPolicy,
  type RouteMatch,
} from "@lateen/proto/envoy/config/route/v3/route_components";
import { HTTPFault } from "@lateen/proto/envoy/extensions/filters/http/fault/v3/fault";
import { PreviousHostsPredicate } from "@lateen/proto/envoy/extensions/retry/host/previous_hosts/v3/previous_hosts";
import { absoluteGateway, type BoundVirtualService } from "../world/rules.ts";
import { configPath, outboundCluster } from "./names.ts";
import { fractionalPercent, headerOption } from "./proto.ts";
import { clientMatches, type HttpRule, matchesEverything, type RuleContext, routeMatch } from "./route-match.ts";
import { milliseconds } from "./traffic-policy.ts";

export const FAULT_FILTER = "envoy.filters.http.fault";

/** What compiling routes may look up. */
export interface RouteContext extends RuleContext {
  readonly domain: string;
  readonly service: (host: string) => MeshService | undefined;
  readonly retry: MeshConfig["defaultHttpRetryPolicy"];
  /** Clients speak TLS to the listener. */
  readonly secure: boolean;
  /** Adds the rule's place to route metadata, for `explain`. */
  readonly annotate: boolean;
}

/** Routes of a virtual service for one place, in order; what cannot be reached any more is left out. */
export function httpRoutes(bound: BoundVirtualService, context: RouteContext): readonly Route[] {
  const routes: Route[] = [];
  const absolute = (gateway: string) => absoluteGateway(gateway, bound.namespace);
  for (const [index, rule] of (bound.spec.http ?? []).entries()) {
    const matches = rule.match && rule.match.length > 0 ? rule.match : [undefined];
    for (const match of matches) {
      if (match !== undefined && !clientMatches(match, context, absolute)) continue;
      const route = ruleRoute({ bound, rule, index, match: routeMatch(match), matchName: match?.name }, context);
      routes.push(route);
      if (route.match !== undefined && matchesEverything(route.match)) return routes;
    }
  }
  return routes;
}

interface RuleAt {
  readonly bound: BoundVirtualService;
  readonly rule: HttpRule;
  readonly index: number;
  readonly match: RouteMatch;
  readonly matchName: string | undefined;
}

function ruleRoute(at: RuleAt, context: RouteContext): Route {
  const { bound, rule, match } = at;
  const faults = faultConfig(rule.fault);
  const path = configPath("virtual-service", bound.namespace, bound.name);
  const edits = headerEdits(rule.headers);
  return Route.fromPartial({
    name: [rule.name, at.matchName].filter(Boolean).join("."),
    match,
    action: ruleAction(at, context),
    metadata: {
      filterMetadata: {
        istio: { config: path },
        ...(context.annotate
          ? { lateen: { origin: `VirtualService ${bound.namespace}/${bound.name} http[${at.index}]` } }
          : {}),
      },
    },
    decorator: { operation: operationName(rule, context) },
    ...(faults === undefined ? {} : { typedPerFilterConfig: { [FAULT_FILTER]: packAny(HTTPFault, faults) } }),
    ...edits,
  });
}

function operationName(rule: HttpRule, context: RouteContext): string {
  const first = rule.route?.[0]?.destination;
  return first === undefined ? "" : `${first.host}:${first.port?.number ?? context.port}/*`;
}

function ruleAction(at: RuleAt, context: RouteContext): NonNullable<Route["action"]> {
  const { rule } = at;
  if (rule.redirect !== undefined) return { $case: "redirect", value: redirectAction(rule.redirect, context) };
  if (rule.directResponse !== undefined) {
    const body = rule.directResponse.body;
    return {
      $case: "directResponse",
      value: DirectResponseAction.fromPartial({
        status: rule.directResponse.status,
        ...(body?.string !== undefined
          ? { body: { specifier: { $case: "inlineString", value: body.string } } }
          : body?.bytes !== undefined
            ? { body: { specifier: { $case: "inlineBytes", value: Buffer.from(body.bytes, "base64") } } }
            : {}),
      }),
    };
  }
  return { $case: "route", value: forwardAction(at, context) };
}

// ---------------------------------------------------------------- forwarding

function forwardAction(at: RuleAt, context: RouteContext): RouteAction {
  const { rule, bound } = at;
  const all = rule.route ?? [];
  // Istio: with several destinations those of weight zero are dropped; a single one needs no weight.
  const destinations = all.length > 1 ? all.filter((entry) => (entry.weight ?? 0) > 0) : all;
  const timeout = durationFromMs(rule.timeout === undefined ? 0 : milliseconds(rule.timeout));
  const action = RouteAction.fromPartial({
    timeout,
    maxStreamDuration: { grpcTimeoutHeaderMax: timeout },
    retryPolicy: retryPolicy(rule.retries, context.retry),
    requestMirrorPolicies: mirrors(rule, bound.namespace, context),
    ...rewriteFields(rule),
  });
  const routeHost = rule.rewrite?.authority ?? hostOf(rule.headers);
  const [only] = destinations;
  if (destinations.length === 1 && only !== undefined) {
    action.clusterSpecifier = {
      $case: "cluster",
      value: destinationCluster(only.destination, bound.namespace, context),
    };
    // A single destination's header operations need the weighted form, which alone can carry them.
    if (only.headers !== undefined) action.clusterSpecifier = weighted([{ ...only, weight: 1 }], at, context);
  } else {
    action.clusterSpecifier = weighted(destinations, at, context);
  }
  if (routeHost !== undefined) action.hostRewriteSpecifier = { $case: "hostRewriteLiteral", value: routeHost };
  return action;
}

type Destination = NonNullable<HttpRule["route"]>[number];

function weighted(destinations: readonly Destination[], at: RuleAt, context: RouteContext) {
  const routeHost = at.rule.rewrite?.authority ?? hostOf(at.rule.headers);
  const clusters = destinations.map((entry) => {
    const host = routeHost === undefined ? hostOf(entry.headers) : undefined;
    return {
      name: destinationCluster(entry.destination, at.bound.namespace, context),
      weight: entry.weight ?? 0,
      ...headerEdits(entry.headers),
      ...(host === undefined ? {} : { hostRewriteSpecifier: { $case: "hostRewriteLiteral", value: host } as const }),
    };
  });
  return RouteAction.fromPartial({
    clusterSpecifier: { $case: "weightedClusters", value: { clusters } },
  }).clusterSpecifier;
}

/** The cluster of a destination: its port, else the listener's when the service has it, else the service's only port. */
export function destinationCluster(
  destination: Destination["destination"],
  namespace: string,
  context: Pick<RouteContext, "domain" | "service" | "port">,
): string {
  const host = shortHostToFqdn(destination.host, namespace, context.domain);
  const service = context.service(host);
  const explicit = destination.port?.number;
  if (explicit !== undefined) return outboundCluster(host, explicit, destination.subset);
  const [first, second] = service?.ports ?? [];
  const has = service?.ports.some((port) => port.number === context.port) ?? true;
  const port = has || first === undefined || second !== undefined ? context.port : first.number;
  return outboundCluster(host, port, destination.subset);
}

function rewriteFields(rule: HttpRule): Parameters<typeof RouteAction.fromPartial>[0] {
  const regex = rule.rewrite?.uriRegexRewrite;
  if (regex?.match !== undefined) {
    return { regexRewrite: { pattern: { regex: regex.match }, substitution: regex.rewrite ?? "" } };
  }
  return rule.rewrite?.uri === undefined ? {} : { prefixRewrite: rule.rewrite.uri };
}

function mirrors(rule: HttpRule, namespace: string, context: RouteContext): RouteAction_RequestMirrorPolicy[] {
  const single = rule.mirror
    ? [{ destination: rule.mirror, percentage: rule.mirrorPercentage ?? percentOf(rule.mirrorPercent) }]
    : [];
  return [...single, ...(rule.mirrors ?? [])].flatMap(({ destination, percentage }) => {
    const share = percentage === undefined ? 100 : (percentage.value ?? 0);
    if (share === 0) return [];
    return [
      RouteAction_RequestMirrorPolicy.fromPartial({
        cluster: destinationCluster(destination, namespace, context),
        runtimeFraction: { defaultValue: fractionalPercent(share) },
      }),
    ];
  });
}

function percentOf(value: number | undefined): { readonly value: number } | undefined {
  return value === undefined ? undefined : { value };
}

// ---------------------------------------------------------------- retries

const DEFAULT_RETRY_ON = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes";
const PREVIOUS_HOSTS = "envoy.retry_host_predicates.previous_hosts";

/**
 * Retries of a rule, else of the mesh, else Istio's default: two more attempts on failures that were not answered.
 * `attempts` 0 or left out of a rule turns retries off.
 */
export function retryPolicy(rule: HttpRule["retries"], mesh: RouteContext["retry"]): RetryPolicy | undefined {
  const attempts = rule === undefined ? (mesh?.attempts ?? 2) : (rule.attempts ?? 0);
  if (attempts <= 0) return undefined;
  const written = rule === undefined ? mesh?.retryOn : rule.retryOn;
  const { retryOn, codes } = splitRetryOn(written || DEFAULT_RETRY_ON);
  const perTry = rule === undefined ? mesh?.perTryTimeoutMs : optionalMs(rule.perTryTimeout);
  const backoff = rule === undefined ? mesh?.backoffMs : optionalMs(rule.backoff);
  const avoidPrevious = (rule === undefined ? mesh?.retryIgnorePreviousHosts : rule.retryIgnorePreviousHosts) ?? true;
  return RetryPolicy.fromPartial({
    retryOn,
    numRetries: attempts,
    ...(perTry ? { perTryTimeout: durationFromMs(perTry) } : {}),
    ...(avoidPrevious
      ? {
          retryHostPredicate: [
            {
              name: PREVIOUS_HOSTS,
              configType: {
                $case: "typedConfig",
                value: packAny(PreviousHostsPredicate, PreviousHostsPredicate.fromPartial({})),
              },
            },
          ],
        }
      : {}),
    hostSelectionRetryMaxAttempts: 5,
    retriableStatusCodes: codes,
    ...(backoff ? { retryBackOff: { baseInterval: durationFromMs(backoff) } } : {}),
  });
}

function optionalMs(text: string | undefined): number | undefined {
  return text === undefined ? undefined : milliseconds(text);
}

/** Numbers among the tokens are status codes. */
function splitRetryOn(text: string): { readonly retryOn: string; readonly codes: number[] } {
  const tokens = text
    .split(",")
    .map((token) => token.trim())
    .filter((token) => token !== "");
  const codes = tokens.filter((token) => /^[1-5]\d\d$/.test(token)).map(Number);
  const names = tokens.filter((token) => !/^\d+$/.test(token));
  if (codes.length > 0 && !names.includes("retriable-status-codes")) names.push("retriable-status-codes");
  return { retryOn: names.join(","), codes };
}

// ---------------------------------------------------------------- headers, redirects, faults

type Headers = HttpRule["headers"];

interface RouteHeaderEdits {
  readonly requestHeadersToAdd: HeaderValueOption[];
  readonly requestHeadersToRemove: string[];
  readonly responseHeadersToAdd: HeaderValueOption[];
  readonly responseHeadersToRemove: string[];
}

function headerEdits(headers: Headers): RouteHeaderEdits {
  return {
    requestHeadersToAdd: additions(headers?.request).filter((option) => !isHost(option.header?.key ?? "")),
    requestHeadersToRemove: [...(headers?.request?.remove ?? [])],
    responseHeadersToAdd: additions(headers?.response),
    responseHeadersToRemove: [...(headers?.response?.remove ?? [])],
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
function hostOf(headers: Headers): string | undefined {
  return Object.entries(headers?.request?.set ?? {}).find(([name]) => isHost(name))?.[1];
}

function redirectAction(redirect: NonNullable<HttpRule["redirect"]>, context: RouteContext): RedirectAction {
  const port = redirectPort(redirect, context);
  return RedirectAction.fromPartial({
    hostRedirect: redirect.authority ?? "",
    ...(redirect.scheme ? { schemeRewriteSpecifier: { $case: "schemeRedirect", value: redirect.scheme } } : {}),
    ...(port === undefined ? {} : { portRedirect: port }),
    ...(redirect.prefixRewrite !== undefined
      ? { pathRewriteSpecifier: { $case: "prefixRewrite", value: redirect.prefixRewrite } }
      : redirect.uri !== undefined
        ? { pathRewriteSpecifier: { $case: "pathRedirect", value: redirect.uri } }
        : {}),
    responseCode: redirectCode(redirect.redirectCode),
  });
}

/** The port to name; none when it is the scheme's own, which Envoy leaves away by itself. */
function redirectPort(redirect: NonNullable<HttpRule["redirect"]>, context: RouteContext): number | undefined {
  const wanted = redirect.port ?? (redirect.derivePort === "FROM_REQUEST_PORT" ? context.port : undefined);
  const scheme = redirect.scheme || (context.secure ? "https" : "http");
  const own = scheme === "https" ? 443 : 80;
  return wanted === own ? undefined : wanted;
}

function redirectCode(code: number | undefined): RedirectAction_RedirectResponseCode {
  const known = RedirectAction_RedirectResponseCode;
  switch (code) {
    case 302:
      return known.FOUND;
    case 303:
      return known.SEE_OTHER;
    case 307:
      return known.TEMPORARY_REDIRECT;
    case 308:
      return known.PERMANENT_REDIRECT;
    default:
      return known.MOVED_PERMANENTLY;
  }
}

const GRPC_STATUS = [
  "OK",
  "CANCELLED",
  "UNKNOWN",
  "INVALID_ARGUMENT",
  "DEADLINE_EXCEEDED",
  "NOT_FOUND",
  "ALREADY_EXISTS",
  "PERMISSION_DENIED",
  "RESOURCE_EXHAUSTED",
  "FAILED_PRECONDITION",
  "ABORTED",
  "OUT_OF_RANGE",
  "UNIMPLEMENTED",
  "INTERNAL",
  "UNAVAILABLE",
  "DATA_LOSS",
  "UNAUTHENTICATED",
];

function faultConfig(fault: HttpRule["fault"]): HTTPFault | undefined {
  const delay = fault?.delay;
  const abort = fault?.abort;
  const grpc = abort?.grpcStatus === undefined ? -1 : GRPC_STATUS.indexOf(abort.grpcStatus.toUpperCase());
  // Istio: a fault without a percentage happens to nobody.
  const delayShare = delay?.percentage?.value ?? delay?.percent ?? 0;
  const abortShare = abort?.percentage?.value ?? 0;
  if (delay?.fixedDelay === undefined && abort === undefined) return undefined;
  return HTTPFault.fromPartial({
    ...(delay?.fixedDelay === undefined
      ? {}
      : {
          delay: {
            faultDelaySecifier: { $case: "fixedDelay", value: durationFromMs(milliseconds(delay.fixedDelay)) },
            percentage: fractionalPercent(delayShare),
          },
        }),
    ...(abort === undefined
      ? {}
      : {
          abort: {
            errorType:
              grpc >= 0
                ? { $case: "grpcStatus", value: grpc }
                : { $case: "httpStatus", value: abort.httpStatus ?? 500 },
            percentage: fractionalPercent(abortShare),
          },
        }),
  });
}
