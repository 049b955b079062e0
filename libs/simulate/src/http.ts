import { type HttpConnectionManagerSpec, normalisePath } from "@lateen/proxy";
import {
  CORS,
  type CorsConfig,
  comparableAudience,
  FAULT,
  type FaultConfig,
  HTTP_RBAC,
  JWT_AUTHN,
  type JwtConfig,
} from "@lateen/proxy-filters";
import {
  type CompiledHeaderEdits,
  type CompiledRoute,
  compileHeaderMatch,
  compileRouteTable,
  compileTextMatch,
  type DynamicMetadata,
  type HeadView,
  headFrom,
  type PeerFacts,
  type RouteMatch,
  redirectLocation,
} from "@lateen/traffic";
import type { Beginning } from "./connection.ts";
import { destinations } from "./destinations.ts";
import { objectOfConfig } from "./objects.ts";
import type { Decoded, SimulatedProxy } from "./proxy-resources.ts";
import { judge } from "./rbac.ts";
import type { ConnectionInput, FaultFacts, HeaderChange, Outcome, RequestInput, Trace } from "./trace.ts";

/** A request at an HTTP connection manager. */
export interface HttpCall {
  readonly terminal: HttpConnectionManagerSpec;
  readonly peer: PeerFacts;
  readonly request: RequestInput;
  /** It came over TLS that ends here. */
  readonly secure: boolean;
  readonly connection: ConnectionInput;
}

/** Rules, route and action, in the order of the proxy: filters as they are listed, then the router. */
export function handleRequest(proxy: SimulatedProxy, call: HttpCall, beginning: Beginning): Trace {
  const { terminal, request } = call;
  const target = normalisePath(request.path, terminal);
  const routeConfig = "rds" in terminal.routes ? terminal.routes.rds : terminal.routes.inline.name;
  const none = { ...beginning, routeConfig, virtualHost: undefined, route: undefined, faults: [] };
  if (target.kind === "reject") return { ...none, outcome: answer(400, "the path cannot be normalised") };
  if (target.kind === "redirect") return { ...none, outcome: { kind: "redirect", status: 307, location: target.path } };
  const head = headFrom({ ...request, path: target.kind === "path" ? target.path : request.path });
  const table = tableOf(proxy, terminal);
  if (!table.ok) return { ...none, outcome: answer(404, table.reason) };
  const scheme = call.secure ? "https" : "http";
  const token = verifyToken(call);
  const match = table.value.match(head, () => 0, scheme, token.routing);
  const found = {
    routeConfig,
    virtualHost: (match?.virtualHost ?? table.value.virtualHost(head))?.spec.name,
    route: match && { name: match.route.spec.name, object: objectOfConfig(match.route.spec.origin) },
  };
  const passed = runFilters(call, head, match, token);
  const policies = [...beginning.policies, ...passed.policies];
  const common = { ...beginning, ...found, policies, faults: passed.faults };
  if (passed.outcome !== undefined) return { ...common, outcome: passed.outcome };
  if (match === undefined) {
    const why = found.virtualHost === undefined ? "no virtual host is for this authority" : "no route matches";
    return { ...common, outcome: answer(404, why) };
  }
  return { ...common, outcome: act(proxy, call, head, match.route) };
}

function tableOf(
  proxy: SimulatedProxy,
  terminal: HttpConnectionManagerSpec,
): Decoded<ReturnType<typeof compileRouteTable>> {
  const { routes } = terminal;
  if ("inline" in routes) return { ok: true, value: compileRouteTable(routes.inline) };
  return proxy.routes(routes.rds) ?? { ok: false, reason: `there is no route configuration ${routes.rds}` };
}

function answer(status: number, why: string, body = ""): Outcome {
  return { kind: "answer", status, body, why };
}

interface Passed {
  readonly policies: Trace["policies"];
  readonly faults: readonly FaultFacts[];
  /** A filter answered. */
  readonly outcome: Outcome | undefined;
}

/** What verifying the request's token leads to. */
interface VerifiedToken {
  /** Why the request is refused. */
  readonly refused: Outcome | undefined;
  readonly metadata: DynamicMetadata | undefined;
  /** What routes may look at. */
  readonly routing: DynamicMetadata | undefined;
}

/** Without its signature and times: what the issuers and audiences of the filter make of the claims. */
function verifyToken({ terminal, request }: HttpCall): VerifiedToken {
  const none = { refused: undefined, metadata: undefined, routing: undefined };
  const filter = terminal.httpFilters.find(({ name }) => name === JWT_AUTHN);
  const { claims } = request;
  if (filter === undefined || claims === undefined) return none;
  // The decoder of this filter made it.
  const providers = Object.values((filter.config as JwtConfig).providers);
  const known = providers.filter(({ issuer }) => issuer === "" || issuer === claims.iss);
  if (known.length === 0) return { ...none, refused: answer(401, "Jwt issuer is not configured") };
  const audiences = [claims.aud ?? []].flat().map((one) => comparableAudience(String(one)));
  const meant = known.find((one) => one.audiences.length === 0 || one.audiences.some((a) => audiences.includes(a)));
  if (meant === undefined) return { ...none, refused: answer(403, "Audiences in Jwt are not allowed") };
  const metadata = { [JWT_AUTHN]: { [meant.payloadKey]: claims } };
  return { refused: undefined, metadata, routing: meant.clearRouteCache ? metadata : undefined };
}

function runFilters(call: HttpCall, head: HeadView, match: RouteMatch | undefined, token: VerifiedToken): Passed {
  const { terminal } = call;
  const peer = { ...call.peer, metadata: token.metadata };
  const policies: Trace["policies"][number][] = [];
  let faults: readonly FaultFacts[] = [];
  for (const filter of terminal.httpFilters) {
    const ofRoute = match?.route.filterConfig(filter.configName ?? filter.name, match.virtualHost);
    const config = ofRoute ?? filter.config;
    if (filter.name === JWT_AUTHN && token.refused !== undefined) return { policies, faults, outcome: token.refused };
    if (filter.name === HTTP_RBAC) {
      const verdict = judge({ name: filter.name, config }, head, peer);
      if (verdict === undefined) continue;
      policies.push(verdict);
      const outcome = answer(403, "refused by an authorization policy", "RBAC: access denied");
      if (!verdict.allowed) return { policies, faults, outcome };
    }
    // The decoders of these filters made their configurations.
    if (filter.name === CORS && ofRoute !== undefined && isPreflight(ofRoute as CorsConfig, head)) {
      return { policies, faults, outcome: answer(200, "a CORS preflight that the route's policy answers") };
    }
    if (filter.name === FAULT) faults = faultsOf(config as FaultConfig, head);
  }
  const certain = faults.find(({ abortStatus, share }) => abortStatus !== undefined && share >= 1);
  if (certain?.abortStatus === undefined) return { policies, faults, outcome: undefined };
  return { policies, faults, outcome: answer(certain.abortStatus, "an injected fault", "fault filter abort") };
}

function headerValue(head: HeadView, name: string): string | undefined {
  for (let i = 0; i < head.count; i++) if (head.nameText(i) === name) return head.valueText(i);
  return undefined;
}

function isPreflight(config: CorsConfig, head: HeadView): boolean {
  const origin = headerValue(head, "origin");
  if (origin === undefined || head.text(head.methodStart, head.methodEnd) !== "OPTIONS") return false;
  if (headerValue(head, "access-control-request-method") === undefined) return false;
  const known = config.origins.map(compileTextMatch).some((matches) => matches("*") || matches(origin));
  return known || !config.forwardUnmatched;
}

function faultsOf(config: FaultConfig | undefined, head: HeadView): readonly FaultFacts[] {
  if (config === undefined || !config.headers.every((header) => compileHeaderMatch(header)(head, "http"))) return [];
  const { delay, abort } = config;
  const delays = delay?.fixedMs === undefined || delay.fraction === 0 ? [] : [delay];
  const aborts = abort?.answer === undefined || abort.fraction === 0 ? [] : [abort];
  return [
    ...delays.map(({ fraction, fixedMs }) => ({ share: fraction, delayMs: fixedMs, abortStatus: undefined })),
    ...aborts.map(({ fraction, answer: reply }) => ({
      share: fraction,
      delayMs: undefined,
      abortStatus: reply?.status,
    })),
  ];
}

function act(proxy: SimulatedProxy, call: HttpCall, head: HeadView, route: CompiledRoute): Outcome {
  const { action } = route;
  if (action.kind === "direct") return answer(action.status, "the route's own answer", action.body);
  if (action.kind === "redirect") {
    const redirect = redirectLocation(route, head, call.secure ? "https" : "http");
    if (redirect !== undefined) return { kind: "redirect", ...redirect };
    return answer(500, "a redirect to nowhere");
  }
  const total = route.clusters.reduce((sum, { spec }) => sum + spec.weight, 0);
  const targets = route.clusters.map((target) => ({
    cluster: target.cluster,
    share: route.clusters.length === 1 ? 1 : target.spec.weight / total,
    authority: target.hostRewrite,
    requestEdits: changes(target.requestEdits),
    responseEdits: changes(target.responseEdits),
    missingStatus: action.clusterNotFoundStatus,
  }));
  const [only] = targets;
  const single = targets.length === 1 ? only : undefined;
  const { retry } = action;
  return {
    kind: "forward",
    destinations: targets.filter(({ share }) => share > 0).map((each) => destinations(proxy, each, call.connection)),
    path: route.rewrite?.(head) ?? head.text(head.pathStart, head.pathEnd),
    requestEdits: single?.requestEdits ?? [],
    responseEdits: single?.responseEdits ?? [],
    mirrors: action.mirrors.map(({ cluster, fraction }) => ({ cluster, share: fraction })),
    timeoutMs: action.timeoutMs,
    retries:
      retry === undefined || retry.attempts === 0
        ? undefined
        : {
            attempts: retry.attempts,
            on: retry.retryOn,
            statusCodes: retry.retriableStatusCodes,
            perTryTimeoutMs: retry.perTryTimeoutMs,
          },
  };
}

function changes(edits: CompiledHeaderEdits): readonly HeaderChange[] {
  const found: HeaderChange[] = [];
  edits.apply(
    {
      set: (name, value) => found.push({ change: "set", name, value }),
      append: (name, value) => found.push({ change: "append", name, value }),
      remove: (name) => found.push({ change: "remove", name, value: "" }),
    },
    ({ name, argument }) => (argument === "" ? `%${name}%` : `%${name}(${argument})%`),
  );
  return found;
}
