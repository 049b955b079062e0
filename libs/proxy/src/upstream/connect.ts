import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { ResetReason } from "../http/streams.ts";
import type { Connection, ConnectionHandler } from "../io/connection.ts";
import { dial } from "../io/sockets.ts";
import { unmapped } from "../listener/connection-info.ts";
import type { Route4 } from "../listener/listener.ts";
import type { Spoken } from "../tls/contexts.ts";
import { parseSubjectAltName } from "../tls/names.ts";
import type { Endpoint } from "./endpoint.ts";
import { proxyLine } from "./proxy-line.ts";
import type { TlsSessions } from "./tls-sessions.ts";

export interface ConnectOutcome {
  ready(connection: Connection): void;
  failed(reason: ResetReason, detail: string): void;
}

/** How a connection is made, besides what the endpoint's cluster says. */
export interface ConnectHow {
  readonly sessions?: TlsSessions;
  /** What will be spoken over it, which ALPN has to agree with. */
  readonly speaks: Spoken;
  /** Whom it is made for, where it tells; undefined: for this proxy itself. */
  readonly client?: Route4 | undefined;
}

/** Connects to an endpoint with its transport and the cluster's connect timeout. One of the outcomes is called, later. */
export function connectEndpoint(
  endpoint: Endpoint,
  { host, port }: { readonly host: string; readonly port: number },
  { sessions, speaks, client }: ConnectHow,
  outcome: ConnectOutcome,
): Connection | undefined {
  const { cluster, transport } = endpoint;
  const { io, tls } = cluster.context;
  const secure = transport.kind === "tls" ? tls.client(transport, speaks) : undefined;
  if (secure !== undefined && !secure.ok) {
    queueMicrotask(() => outcome.failed("tlsFailure", `TLS_error: ${secure.error}`));
    return undefined;
  }
  const session = secure === undefined ? undefined : sessions?.get(secure.value);
  const options =
    secure === undefined ? undefined : { ...secure.value.options, ...(session === undefined ? {} : { session }) };
  const timer = io.wheel.timer(() => {
    connection.handler = { ...NOTHING };
    connection.destroy();
    outcome.failed("connectTimeout", "");
  });
  const { proxyLine: version } = transport;
  const how = {
    host,
    port,
    source: sourceFor(host, endpoint),
    keepAliveMs: cluster.spec.tcpKeepaliveMs,
    tls: options,
    ...(version === undefined
      ? {}
      : { preface: (socket: Socket) => proxyLine(version, routeText(client), ownRoute(socket)) }),
  };
  const connection = dial(io, how, (ready) => {
    timer.cancel();
    outcome.ready(ready);
  });
  if (secure !== undefined) {
    connection.socket.on("session", (fresh: Buffer) => sessions?.keep(secure.value, fresh));
  }
  connection.handler = {
    ...NOTHING,
    onClose(error) {
      timer.cancel();
      outcome.failed(secure === undefined ? "connectFailure" : "tlsFailure", failureText(connection, error));
    },
  };
  timer.arm(cluster.spec.connectTimeoutMs);
  return connection;
}

/** IPv4 on IPv6 sockets is IPv4 to everybody else. */
function routeText(route: Route4 | undefined): Route4 | undefined {
  if (route === undefined) return undefined;
  const { sourceAddress, destinationAddress } = route;
  return { ...route, sourceAddress: unmapped(sourceAddress), destinationAddress: unmapped(destinationAddress) };
}

function ownRoute({ localAddress, localPort, remoteAddress, remotePort }: Socket): Route4 | undefined {
  if (localAddress === undefined || remoteAddress === undefined) return undefined;
  return {
    sourceAddress: localAddress,
    sourcePort: localPort ?? 0,
    destinationAddress: remoteAddress,
    destinationPort: remotePort ?? 0,
  };
}

/** The local address to connect from: the first of the destination's family. */
function sourceFor(host: string, { cluster }: Endpoint): string | undefined {
  const { sourceAddresses = [], direction } = cluster.spec;
  const family = host.includes(":");
  const fits = (source: string): boolean => source.includes(":") === family;
  return cluster.context.sources?.(direction).find(fits) ?? sourceAddresses.find(fits);
}

/** URI SAN of the server's certificate when it has exactly one. */
export function peerPrincipalOf(connection: Connection): string | undefined {
  const { uris } = parseSubjectAltName((connection.socket as TLSSocket).getPeerX509Certificate()?.subjectAltName);
  return uris.length === 1 ? uris[0] : undefined;
}

const NOTHING: ConnectionHandler = { onBytes() {}, onEnd() {}, onDrain() {}, onClose() {} };

const SYSTEM_ERRORS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "delayed connect error: Connection refused",
  ECONNRESET: "delayed connect error: Connection reset by peer",
  EHOSTUNREACH: "delayed connect error: No route to host",
  ENETUNREACH: "delayed connect error: Network is unreachable",
  ETIMEDOUT: "delayed connect error: Connection timed out",
};

function failureText(connection: Connection, error: string | undefined): string {
  if (error === undefined) return "";
  const known = SYSTEM_ERRORS[error];
  if (known !== undefined) return known;
  return connection.secure ? `TLS_error: ${connection.failure}` : `delayed connect error: ${error}`;
}
