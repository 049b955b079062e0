import type { ConnectionRecord, UpstreamRecord, WantedConnection } from "@lateen/proxy";
import { type Cause, noEndpoint, objectOf } from "./cause.ts";

/** Why a connection came to nothing at one proxy, in words, with the objects responsible. */
export function causeOfConnection(record: ConnectionRecord): Cause {
  switch (record.kind) {
    case "noChain":
      return noChain(record);
    case "handshake":
      return handshake(record);
    case "policy":
      return refused(record);
    case "timeout":
      return timedOut(record);
    case "upstream":
      return upstreamFailed(record);
  }
}

function noChain(record: ConnectionRecord): Cause {
  const { offered, wanted = [], destination } = record;
  const objects = decidedBy(record);
  const onlyTls = wanted.length > 0 && wanted.every(({ transport }) => transport === "tls");
  if (onlyTls && !offered.tls) {
    return {
      why: `the client speaks plain text, and ${destination} takes only ${record.direction === "inbound" ? "mutual TLS" : "TLS"}`,
      objects,
      next:
        record.direction === "inbound"
          ? "a client in the mesh sends mutual TLS unless a DestinationRule says otherwise; one outside needs PERMISSIVE"
          : "the port is for clients that begin with TLS",
    };
  }
  const names = namesOf(wanted);
  if (offered.tls && names.length > 0) {
    const asked =
      offered.serverName === ""
        ? "the client names no server (no SNI)"
        : `nothing here is called ${offered.serverName}`;
    return {
      why: `${asked}; ${destination} serves ${names.join(", ")}`,
      objects,
      next: "the name is the SNI of the client's TLS",
    };
  }
  const protocols = offered.protocols.length === 0 ? "" : ` with ALPN ${offered.protocols.join(", ")}`;
  return {
    why: `no filter chain of listener ${record.listener} takes ${offered.tls ? "TLS" : "plain text"}${protocols} to ${destination}`,
    objects,
  };
}

function namesOf(wanted: readonly WantedConnection[]): readonly string[] {
  return [...new Set(wanted.flatMap(({ serverNames }) => serverNames))];
}

/** What the TLS library says, and what it means; the first that occurs in the details counts. */
const HANDSHAKES: readonly (readonly [pattern: string, why: string, next: string])[] = [
  [
    "peer_did_not_return_a_certificate",
    "the client has no certificate, and one is demanded",
    "clients of the mesh have one; others cannot speak mutual TLS",
  ],
  [
    "alert_unknown_ca",
    "the client does not trust the authority of our certificate",
    "the client needs the root certificate of this mesh",
  ],
  ["alert_bad_certificate", "the client refuses our certificate", "it may expect another name, or another authority"],
  [
    "alert_certificate_unknown",
    "the client refuses our certificate",
    "it may expect another name, or another authority",
  ],
  [
    "certificate_has_expired",
    "the client's certificate has expired",
    "is the clock of the client right, and does it get new certificates?",
  ],
  ["certificate_revoked", "the client's certificate is revoked", "the revocation list says so"],
  [
    "certificate_verify_failed",
    "the client's certificate is not of an authority that is trusted here",
    "do both sides have the same root certificate?",
  ],
  [
    "no_shared_cipher",
    "client and proxy have no cipher in common",
    "the ciphers are those of the mesh's or the Gateway's TLS settings",
  ],
  [
    "unsupported_protocol",
    "the client speaks no version of TLS that is taken here",
    "the versions are those of the mesh's or the Gateway's TLS settings",
  ],
  [
    "does_not_speak_TLS",
    "the client speaks plain text where TLS is expected",
    "the port is for clients that begin with TLS",
  ],
  ["handshake_timeout", "the client did not finish its TLS handshake in time", ""],
  [
    "client_closed",
    "the client went away within the TLS handshake",
    "it may not trust our certificate: look at its log",
  ],
  [
    "connection_closed",
    "the client went away within the TLS handshake",
    "it may not trust our certificate: look at its log",
  ],
];

function handshake(record: ConnectionRecord): Cause {
  const [, said = record.details] = /^tls_error\{(.*)\}$/s.exec(record.details) ?? [];
  const known = HANDSHAKES.find(([pattern]) => said.replaceAll(" ", "_").includes(pattern));
  const heard = said.replaceAll("_", " ");
  const objects = decidedBy(record);
  if (known === undefined) return { why: `the TLS handshake with the client failed: ${heard}`, objects };
  const [, why, next] = known;
  return { why: `${why} (${heard})`, objects, ...(next === "" ? {} : { next }) };
}

function refused(record: ConnectionRecord): Cause {
  const { because, candidates = [], details } = record;
  if (because !== undefined) return { why: "a DENY policy matches", objects: [objectOf(because)] };
  if (!details.startsWith("rbac_access_denied")) return { why: `a network filter refused it: ${details}`, objects: [] };
  const policies = candidates.map(objectOf);
  return {
    why: policies.length === 0 ? "nothing is allowed here" : "none of the ALLOW policies matches",
    objects: policies,
    next:
      policies.length === 0
        ? "an ALLOW policy without rules refuses everything; rules about requests never match a connection of bytes"
        : "one of these rules must match",
  };
}

function timedOut(record: ConnectionRecord): Cause {
  const { upstream, details } = record;
  const objects = clusterObject(upstream);
  if (details !== "idle_timeout") return { why: "the connection was older than connections may become", objects };
  return {
    why: `no byte moved for ${upstream?.idleTimeoutMs ?? 0} ms`,
    objects,
    next: "the time is `trafficPolicy.connectionPool.tcp.idleTimeout` of a DestinationRule",
  };
}

const BLACK_HOLE = "BlackHoleCluster";

function upstreamFailed(record: ConnectionRecord): Cause {
  const { upstream, flags, destination } = record;
  const objects = clusterObject(upstream);
  const cluster = `cluster ${upstream?.cluster ?? ""}`;
  if (flags === "NC") {
    return {
      why: `${cluster} does not exist`,
      objects,
      next: "no Service or ServiceEntry that this proxy may see makes it, or its DestinationRule has no such subset",
    };
  }
  if (upstream?.cluster === BLACK_HOLE) {
    return {
      why: `${destination} is nothing of the mesh, and others may not be called (outboundTrafficPolicy REGISTRY_ONLY)`,
      objects,
      next: "a ServiceEntry makes it known",
    };
  }
  if (flags === "UH") {
    const { endpoints = 0, ejected = 0 } = upstream ?? {};
    return noEndpoint({ cluster, subset: "", endpoints, ejected, objects });
  }
  if (flags === "UO") {
    return {
      why: `the circuit breaker of ${cluster} is open: max_connections is ${upstream?.maxConnections ?? 0}`,
      objects,
      next: "the limit is `trafficPolicy.connectionPool.tcp.maxConnections`",
    };
  }
  return connectFailed(record, objects);
}

function connectFailed({ upstream, details }: ConnectionRecord, objects: readonly string[]): Cause {
  const { endpoint = "the upstream", workload, attempts = 0, outcome, failure = "" } = upstream ?? {};
  const who = workload === undefined ? endpoint : `${endpoint} (${workload})`;
  const tries = attempts > 1 ? ` (${attempts} attempts)` : "";
  const heard = failure === "" ? "" : `: ${failure.replaceAll("_", " ")}`;
  switch (outcome) {
    case "connectTimeout":
      return {
        why: `${who} could not be connected within ${upstream?.connectTimeoutMs ?? 0} ms${tries}`,
        objects,
        next: "the time is `trafficPolicy.connectionPool.tcp.connectTimeout`",
      };
    case "tlsFailure":
      return {
        why: `the TLS handshake with ${who} failed${tries}${heard}`,
        objects,
        next: "the two sides do not agree on TLS (DestinationRule here, PeerAuthentication there)",
      };
    case undefined:
      return {
        why: `${who} broke the connection: ${details}`,
        objects,
        next:
          upstream?.tls === true
            ? "look at the log of the upstream"
            : "a server that takes only mutual TLS breaks plain connections: DestinationRule here, PeerAuthentication there",
      };
    default:
      return {
        why: `${who} could not be connected${tries}${heard}`,
        objects,
        next: "nothing listens there, or it is not reachable",
      };
  }
}

function decidedBy({ because }: ConnectionRecord): readonly string[] {
  return because === undefined ? [] : [objectOf(because)];
}

function clusterObject(upstream: UpstreamRecord | undefined): readonly string[] {
  return upstream?.origin === undefined ? [] : [objectOf(upstream.origin)];
}
