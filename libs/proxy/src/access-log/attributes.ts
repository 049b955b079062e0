import {
  type AttributeReaders,
  type Attributes,
  attributesOf,
  CelDuration,
  type CelMap,
  CelTimestamp,
} from "@lateen/cel";
import type { WorkloadFacts } from "../config/plan.ts";
import { addressText } from "../listener/connection-info.ts";
import type { ConnectionLogFacts, RequestLogFacts } from "./facts.ts";

/** Bits of `response.flags`. @see envoy.data.accesslog.v3.ResponseFlags, in whose order Envoy counts them */
const FLAG_BITS: Readonly<Record<string, number>> = Object.fromEntries(
  "LH UH UT LR UR UF UC UO NR DI FI RL UAEX RLSE DC URX SI IH DPE UMSDR RFCF NFCF DT UPE NC OM DF"
    .split(" ")
    .map((flag, bit) => [flag, 2 ** bit]),
);
const DIRECTIONS = { unspecified: 0n, inbound: 1n, outbound: 2n } as const;

/** Header bytes as text: they are kept as one character a byte. */
export function utf8(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: everything but ASCII.
  return /[^\x00-\x7f]/.test(text) ? Buffer.from(text, "latin1").toString() : text;
}

const present = (text: string | undefined): string | undefined =>
  text === undefined || text === "" ? undefined : utf8(text);
const header = (name: string) => (facts: ConnectionLogFacts) => present(facts.request?.requestHeader(name));
const whole = (value: number | undefined): bigint | undefined =>
  value === undefined ? undefined : BigInt(Math.trunc(value));

function headers(read: (request: RequestLogFacts, name: string) => string | undefined) {
  return ({ request }: ConnectionLogFacts): CelMap | undefined =>
    request === undefined
      ? undefined
      : {
          get: (name) => {
            const value = read(request, name.toLowerCase());
            return value === undefined ? undefined : utf8(value);
          },
        };
}

function pathPart(part: "path" | "query") {
  return (facts: ConnectionLogFacts): string | undefined => {
    const target = facts.request?.requestHeader(":path");
    if (target === undefined) return undefined;
    const mark = target.indexOf("?");
    if (part === "path") return utf8(mark < 0 ? target : target.slice(0, mark));
    return mark < 0 ? "" : utf8(target.slice(mark + 1));
  };
}

function portOf(address: string): bigint | undefined {
  const colon = address.lastIndexOf(":");
  return colon < 0 ? undefined : BigInt(Number(address.slice(colon + 1)) || 0);
}

/** The workload at the other end on a side; the proxy's own side has none. */
const peer = (side: "downstream" | "upstream", field: keyof WorkloadFacts) => (facts: ConnectionLogFacts) => {
  const inbound = facts.direction === "inbound";
  if (inbound !== (side === "downstream")) return undefined;
  return present((inbound ? facts.source : facts.destination)?.[field]);
};

const READERS: AttributeReaders<ConnectionLogFacts> = {
  "request.path": header(":path"),
  "request.url_path": pathPart("path"),
  "request.query": pathPart("query"),
  "request.host": header(":authority"),
  "request.scheme": header(":scheme"),
  "request.method": header(":method"),
  "request.headers": headers((request, name) => request.requestHeader(name)),
  "request.referer": header("referer"),
  "request.useragent": header("user-agent"),
  "request.time": ({ startTimeMs }) => new CelTimestamp(startTimeMs),
  "request.id": ({ request }) => present(request?.requestId),
  "request.protocol": ({ request }) => request?.protocol,
  "request.duration": ({ durationMs }) => new CelDuration(durationMs),
  "request.size": ({ bytesReceived }) => whole(bytesReceived),
  "request.total_size": ({ request, bytesReceived }) => whole(request?.totalRequestBytes ?? bytesReceived),
  "response.code": ({ request }) => whole(request?.status || undefined),
  "response.code_details": ({ request }) => present(request?.details),
  "response.flags": ({ flags }) => {
    if (flags === "") return 0n;
    return BigInt(flags.split(",").reduce((sum, flag) => sum + (FLAG_BITS[flag] ?? 0), 0));
  },
  "response.grpc_status": ({ request }) =>
    request?.grpcStatus === undefined || request.grpcStatus < 0 ? undefined : whole(request.grpcStatus),
  "response.headers": headers((request, name) => request.responseHeader(name)),
  "response.trailers": headers((request, name) => request.responseTrailer(name)),
  "response.size": ({ bytesSent }) => whole(bytesSent),
  "response.total_size": ({ request, bytesSent }) => whole(request?.totalResponseBytes ?? bytesSent),
  "source.address": ({ request, info }) =>
    request === undefined || request.remoteAddress === info.sourceAddress
      ? addressText(info.sourceAddress, info.sourcePort)
      : addressText(request.remoteAddress, 0),
  "source.port": ({ info }) => whole(info.sourcePort),
  "destination.address": ({ info }) => addressText(info.destinationAddress, info.destinationPort),
  "destination.port": ({ info }) => whole(info.destinationPort),
  "connection.mtls": ({ info }) => info.peer !== undefined,
  "connection.requested_server_name": ({ info }) => (info.serverName === "" ? undefined : info.serverName),
  "connection.subject_peer_certificate": ({ info }) => info.peer?.subject || undefined,
  "connection.uri_san_peer_certificate": ({ info }) => info.peer?.uris[0],
  "connection.dns_san_peer_certificate": ({ info }) => info.peer?.dns[0],
  "connection.uri_san_local_certificate": ({ info }) => info.localUris?.[0],
  "connection.sha256_peer_certificate_digest": ({ info }) => info.peer?.hash || undefined,
  "connection.termination_details": ({ terminationDetails }) => present(terminationDetails),
  "upstream.address": ({ upstreamHost }) => present(upstreamHost),
  "upstream.port": ({ upstreamHost }) => portOf(upstreamHost),
  "upstream.local_address": ({ upstreamLocalAddress }) => present(upstreamLocalAddress),
  "upstream.transport_failure_reason": ({ upstreamFailure }) => present(upstreamFailure),
  "upstream.request_attempt_count": ({ request }) => whole(request?.attempts),
  "xds.cluster_name": ({ upstreamCluster }) => upstreamCluster || undefined,
  "xds.route_name": ({ request }) => request?.routeName || undefined,
  "xds.listener_direction": ({ direction }) => DIRECTIONS[direction],
  "downstream_peer.workload": peer("downstream", "workload"),
  "downstream_peer.namespace": peer("downstream", "namespace"),
  "downstream_peer.cluster": peer("downstream", "cluster"),
  "downstream_peer.service": peer("downstream", "canonicalService"),
  "downstream_peer.revision": peer("downstream", "canonicalRevision"),
  "downstream_peer.app": peer("downstream", "app"),
  "downstream_peer.version": peer("downstream", "version"),
  "upstream_peer.workload": peer("upstream", "workload"),
  "upstream_peer.namespace": peer("upstream", "namespace"),
  "upstream_peer.cluster": peer("upstream", "cluster"),
  "upstream_peer.service": peer("upstream", "canonicalService"),
  "upstream_peer.revision": peer("upstream", "canonicalRevision"),
  "upstream_peer.app": peer("upstream", "app"),
  "upstream_peer.version": peer("upstream", "version"),
};

/** What expressions in access-log filters and metric tags may name. */
export const LOG_ATTRIBUTES: Attributes<ConnectionLogFacts> = attributesOf(READERS);
