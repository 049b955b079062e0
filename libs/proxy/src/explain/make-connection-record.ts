import type { ListenerSpec, TcpProxySpec } from "../config/plan.ts";
import { addressText, type ConnectionInfo } from "../listener/connection-info.ts";
import type { Cluster } from "../upstream/cluster.ts";
import type { Endpoint } from "../upstream/endpoint.ts";
import type { ChainFacts } from "../worker/state.ts";
import type { BrokenCause, BrokenConnections, BrokenDetail } from "./broken-connections.ts";
import type { BrokenKind, UpstreamRecord, WantedConnection } from "./connection-record.ts";

/** Of texts that clients send or bring about. */
const LONGEST_TEXT = 256;
const MOST_NAMES = 16;

/** How a connection came to nothing. */
export interface Broken {
  readonly kind: BrokenKind;
  readonly info: ConnectionInfo;
  readonly place: ChainFacts;
  readonly startTimeMs: number;
  readonly flags: string;
  readonly details: string;
  readonly durationMs?: number;
  readonly because?: string | undefined;
  readonly candidates?: readonly string[] | undefined;
  readonly bytesReceived?: number;
  readonly bytesSent?: number;
  readonly cluster?: string;
}

/** What else is known, asked for only when a record is made of it. */
export interface BrokenMore {
  readonly upstream?: UpstreamRecord;
  readonly wanted?: readonly WantedConnection[];
}

/** Notes a connection that was refused or broken. */
export function noteBroken(list: BrokenConnections, broken: Broken, more: () => BrokenMore): void {
  if (!list.enabled) return;
  const { kind, info, place, startTimeMs, flags } = broken;
  const destination = addressText(info.destinationAddress, info.destinationPort);
  const cause: BrokenCause = {
    ...{ kind, startTimeMs, flags, destination },
    connectionId: info.connectionId ?? 0,
    listener: place.listener,
    chain: place.chain,
    clientAddress: info.sourceAddress,
    details: cut(broken.details),
    cluster: broken.cluster ?? "",
  };
  list.add(cause, () => detailOf(broken, cause, more()));
}

function detailOf(broken: Broken, { destination, details }: BrokenCause, more: BrokenMore): BrokenDetail {
  const { kind, info, place, flags, because, candidates } = broken;
  const principal = info.peer?.principal;
  const { transportProtocol, applicationProtocols = [] } = info.matched ?? {};
  return {
    ...{ kind, ...place, flags, details, destination },
    durationMs: broken.durationMs ?? 0,
    ...(because === undefined ? {} : { because }),
    ...(candidates === undefined ? {} : { candidates }),
    client: {
      ...{ address: info.sourceAddress, port: info.sourcePort },
      ...(principal === undefined ? {} : { principal: cut(principal) }),
    },
    offered: {
      tls: info.secure || transportProtocol === "tls",
      serverName: cut(info.serverName),
      protocols: applicationProtocols.slice(0, MOST_NAMES).map(cut),
    },
    bytesReceived: broken.bytesReceived ?? 0,
    bytesSent: broken.bytesSent ?? 0,
    ...more,
  };
}

/** What the chains of a listener take on a port, as much as one cares to read. */
export function wantedBy({ chains }: ListenerSpec, port: number): readonly WantedConnection[] {
  const own = chains.filter(({ match }) => match.destinationPort === port);
  const asked = own.length > 0 ? own : chains.filter(({ match }) => match.destinationPort === undefined);
  return asked.slice(0, MOST_NAMES).map(({ match }) => ({
    transport: match.transportProtocol,
    serverNames: match.serverNames.slice(0, MOST_NAMES),
  }));
}

/** How far a connection of bytes came towards its upstream. */
export interface UpstreamFacts {
  readonly name: string;
  readonly cluster: Cluster | undefined;
  readonly endpoint: Endpoint | undefined;
  readonly attempts: number;
  readonly outcome: string;
  readonly failure: string;
  readonly spec: TcpProxySpec;
}

export function upstreamRecord(facts: UpstreamFacts): UpstreamRecord {
  const { name, cluster, endpoint, attempts, outcome, failure, spec } = facts;
  const workload = endpoint?.spec.workload;
  const origin = cluster?.spec.origin;
  return {
    cluster: name,
    ...(origin === undefined ? {} : { origin }),
    exists: cluster !== undefined,
    endpoints: cluster?.endpointCount ?? 0,
    ejected: cluster?.ejectedCount ?? 0,
    attempts,
    ...(endpoint === undefined ? {} : { endpoint: endpoint.text }),
    ...(workload === undefined ? {} : { workload: `${workload.namespace}/${workload.workload}` }),
    tls: endpoint?.transport.kind === "tls",
    ...(outcome === "" ? {} : { outcome }),
    ...(failure === "" ? {} : { failure: cut(failure) }),
    maxConnections: cluster?.breaker.limits.maxConnections ?? 0,
    connectTimeoutMs: cluster?.spec.connectTimeoutMs ?? 0,
    idleTimeoutMs: spec.idleTimeoutMs,
  };
}

/** A copy of its beginning, which does not keep the whole text alive. */
function cut(text: string): string {
  return text.length <= LONGEST_TEXT ? text : Buffer.from(text.slice(0, LONGEST_TEXT), "latin1").toString("latin1");
}
