import type { FilterChainSpec, ListenerSpec } from "@lateen/proxy";
import { NETWORK_RBAC } from "@lateen/proxy-filters";
import type { PeerFacts } from "@lateen/traffic";
import { destinations } from "./destinations.ts";
import { handleRequest } from "./http.ts";
import type { ReadyListener, SimulatedProxy } from "./proxy-resources.ts";
import { judge } from "./rbac.ts";
import type { ConnectionInput, Outcome, PolicyVerdict, RequestInput, Trace } from "./trace.ts";

/** What is known before routes are looked at. */
export type Beginning = Pick<Trace, "listener" | "chain" | "downstreamTls" | "policies">;

/**
 * What a proxy does with a connection, and with the first request on it where it looks into HTTP. Chance is not thrown: weights and
 * percentages are told as shares, and conditions for a share of the requests are taken as met.
 * @param request undefined: the client sends no HTTP that could be looked at.
 */
export function simulate(proxy: SimulatedProxy, connection: ConnectionInput, request?: RequestInput): Trace {
  const listener = listenerFor(proxy, connection);
  if (listener === undefined) return nothing(proxy, connection);
  const chain = chainFor(listener, connection);
  if (chain === undefined) {
    const why = "no filter chain of the listener is for such a connection";
    return ended({ listener: listener.spec.name, chain: undefined, downstreamTls: "none", policies: [] }, why);
  }
  const secured = secure(chain, connection);
  const start = { listener: listener.spec.name, chain: chain.name };
  if (!secured.ok) return ended({ ...start, downstreamTls: "none", policies: [] }, secured.why);
  const beginning = { ...start, downstreamTls: secured.tls };
  const peer = peerOf(connection, secured.principal);
  const policies: PolicyVerdict[] = [];
  for (const filter of chain.networkFilters) {
    if (filter.name !== NETWORK_RBAC) continue;
    const verdict = judge(filter, undefined, peer);
    if (verdict === undefined) continue;
    policies.push(verdict);
    if (!verdict.allowed) return ended({ ...beginning, policies }, "refused by an authorization policy");
  }
  const { terminal } = chain;
  if (terminal.kind === "http") {
    if (request === undefined || secured.tls === "passed through") {
      return ended({ ...beginning, policies }, "the proxy expects HTTP here, and the client speaks something else");
    }
    const secureRequest = secured.tls !== "none";
    return handleRequest(
      proxy,
      { terminal, peer, request, secure: secureRequest, connection },
      { ...beginning, policies },
    );
  }
  const total = terminal.clusters.reduce((sum, { weight }) => sum + weight, 0);
  const targets = terminal.clusters.map(({ cluster, weight }) => ({ cluster, share: total > 0 ? weight / total : 1 }));
  const outcome: Outcome = {
    kind: "forward",
    destinations: targets.map((target) => destinations(proxy, target, connection)),
    path: undefined,
    requestEdits: [],
    responseEdits: [],
    mirrors: [],
    timeoutMs: 0,
    retries: undefined,
  };
  return { ...beginning, policies, ...NO_ROUTE, outcome };
}

const NO_ROUTE = { routeConfig: undefined, virtualHost: undefined, route: undefined, faults: [] } as const;

function ended(beginning: Beginning, why: string): Trace {
  return { ...beginning, ...NO_ROUTE, outcome: { kind: "close", why } };
}

function nothing(proxy: SimulatedProxy, connection: ConnectionInput): Trace {
  const refused = proxy.refusedListeners().find((text) => text.includes(`_${connection.destinationPort}:`));
  const why = refused ?? `nothing listens on port ${connection.destinationPort}`;
  return ended({ listener: undefined, chain: undefined, downstreamTls: "none", policies: [] }, why);
}

const WILDCARDS = ["0.0.0.0", "::"];

/** As the proxy finds it: the very address, the port on any address, the catch-all. */
function listenerFor(proxy: SimulatedProxy, connection: ConnectionInput): ReadyListener | undefined {
  const { direction, destinationAddress, destinationPort } = connection;
  const all = proxy.listeners();
  const named = (name: string) => all.find(({ spec }) => spec.name === name);
  if (direction === "inbound") return named("virtualInbound");
  const at = (address: string) =>
    all.find(({ spec }) => spec.direction !== "inbound" && spec.address === address && spec.port === destinationPort);
  const own = [destinationAddress, ...WILDCARDS].map(at).find((found) => found !== undefined);
  return own ?? (direction === "outbound" ? named("virtualOutbound") : undefined);
}

function chainFor(listener: ReadyListener, connection: ConnectionInput): FilterChainSpec | undefined {
  const { spec, matcher } = listener;
  const { destinationAddress, destinationPort, sourceAddress } = connection;
  const index = matcher.pick({ destinationAddress, destinationPort, sourceAddress, ...inspected(spec, connection) });
  return index < 0 ? spec.defaultChain : spec.chains[index];
}

/** What the listener's inspectors make of the first bytes. */
function inspected({ inspectors }: ListenerSpec, { tls, speaks, destinationPort }: ConnectionInput) {
  const looks = (on: boolean, except: readonly number[]) => on && !except.includes(destinationPort);
  if (tls !== undefined && looks(inspectors.tls, inspectors.tlsDisabledPorts)) {
    const { serverName, applicationProtocols } = tls;
    return { transportProtocol: "tls" as const, serverName, applicationProtocols };
  }
  const http = tls === undefined && speaks === "http" && looks(inspectors.http, inspectors.httpDisabledPorts);
  const applicationProtocols = http ? ["http/1.1"] : [];
  return { transportProtocol: "raw_buffer" as const, serverName: "", applicationProtocols };
}

type Secured =
  | { readonly ok: true; readonly tls: Trace["downstreamTls"]; readonly principal: string | undefined }
  | { readonly ok: false; readonly why: string };

function secure({ transport }: FilterChainSpec, { tls }: ConnectionInput): Secured {
  if (transport.kind === "raw") {
    return { ok: true, tls: tls === undefined ? "none" : "passed through", principal: undefined };
  }
  if (tls === undefined) return { ok: false, why: "the proxy expects TLS here, and the client speaks plain text" };
  if (transport.requireClientCertificate && tls.principal === undefined) {
    return { ok: false, why: "the proxy expects a client certificate, and the client has none" };
  }
  const presented = transport.validation === undefined ? undefined : tls.principal;
  return { ok: true, tls: presented === undefined ? "terminated" : "mutual", principal: presented };
}

function peerOf(connection: ConnectionInput, principal: string | undefined): PeerFacts {
  const { sourceAddress, destinationAddress, destinationPort, tls } = connection;
  return {
    principal,
    sourceAddress,
    remoteAddress: sourceAddress,
    destinationAddress,
    destinationPort,
    serverName: tls?.serverName ?? "",
  };
}
