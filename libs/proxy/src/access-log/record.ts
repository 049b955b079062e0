import { addressText } from "../listener/connection-info.ts";
import type { AccessRecord } from "../worker/protocol.ts";
import type { ConnectionLogFacts } from "./facts.ts";

const PROTOCOLS = { "HTTP/1.0": "http/1.0", "HTTP/1.1": "http/1.1", "HTTP/2": "http/2" } as const;

/** The record an access-log service gets. @param localPrincipal URI SAN of this workload, told only for TLS connections. */
export function recordOf(facts: ConnectionLogFacts, localPrincipal: string): AccessRecord {
  const { request, info } = facts;
  const inbound = facts.direction === "inbound";
  return {
    startTimeMs: facts.startTimeMs,
    durationMs: facts.durationMs,
    protocol: request === undefined ? "tcp" : PROTOCOLS[request.protocol],
    method: request?.requestHeader(":method") ?? "",
    path: request?.requestHeader(":path") ?? "",
    authority: request?.requestHeader(":authority") ?? "",
    requestId: request?.requestId ?? "",
    userAgent: request?.requestHeader("user-agent") ?? "",
    responseCode: request?.status ?? 0,
    responseFlags: facts.flags === "" ? "-" : facts.flags,
    responseDetails: request?.details ?? facts.terminationDetails,
    bytesReceived: facts.bytesReceived,
    bytesSent: facts.bytesSent,
    upstreamCluster: facts.upstreamCluster,
    upstreamHost: facts.upstreamHost,
    routeName: request?.routeName ?? "",
    downstreamRemoteAddress: addressText(request?.remoteAddress ?? info.sourceAddress, info.sourcePort),
    downstreamLocalAddress: addressText(info.destinationAddress, info.destinationPort),
    peerPrincipal: facts.peerPrincipal,
    localPrincipal: facts.peerPrincipal === "" ? "" : localPrincipal,
    reporter: inbound ? "destination" : "source",
    source: facts.source,
    destination: facts.destination,
    destinationService: facts.destinationService,
  };
}
