import { isIP } from "node:net";
import { err, ok, type Result } from "@lateen/kernel";
import { simulate } from "./connection.ts";
import type { Participant, SimulatedMesh } from "./mesh.ts";
import type {
  ConnectionInput,
  DestinationFacts,
  EndpointFacts,
  ForwardOutcome,
  HeaderChange,
  RequestInput,
  Trace,
} from "./trace.ts";

/** What somebody asks for, as with curl. */
export interface CallInput {
  readonly scheme: "http" | "https" | "tcp";
  readonly host: string;
  readonly port: number;
  readonly method: string;
  /** Path with query. */
  readonly path: string;
  /** Lower-case names; `host` replaces the URL's. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** What the token says that it carries. Default: it carries none. */
  readonly claims?: Readonly<Record<string, unknown>> | undefined;
}

/** What becomes of a call, from one end to the other. */
export interface CallTrace {
  readonly from: string;
  /** Address that the host stands for; undefined: not a name of the mesh, nor an address. */
  readonly address: string | undefined;
  /** At the caller's proxy. */
  readonly client: Trace;
  /** At the proxies of the endpoints it may go to, one for each workload. */
  readonly servers: readonly ServerTrace[];
}

export interface ServerTrace {
  readonly cluster: string;
  /** `namespace/name` of the workload. */
  readonly workload: string;
  readonly endpoint: string;
  /** Undefined: it has no proxy, so nothing is decided there. */
  readonly trace: Trace | undefined;
}

const REQUEST = /^(?:([A-Za-z]+)\s+)?(https?|tcp):\/\/(\[[^\]]+\]|[^/:?#]+)(?::(\d+))?([/?][^#\s]*)?$/;
const PORTS = { http: 80, https: 443, tcp: 0 } as const;

/** Reads `GET http://reviews:9080/x`; the method may be left out, `tcp://HOST:PORT` is a connection. */
export function parseCall(text: string, headers: CallInput["headers"] = []): Result<CallInput, string> {
  const [, method = "GET", scheme, host, portText, path = "/"] = REQUEST.exec(text.trim()) ?? [];
  if (host === undefined || !(scheme === "http" || scheme === "https" || scheme === "tcp")) {
    return err(`"${text}" is not of the form GET http://HOST:PORT/PATH or tcp://HOST:PORT`);
  }
  const port = portText === undefined ? PORTS[scheme] : Number(portText);
  if (port < 1 || port > 65_535) return err(`"${text}" has no port between 1 and 65535`);
  return ok({
    scheme,
    host: host.replace(/^\[(.*)\]$/, "$1"),
    port,
    method: method.toUpperCase(),
    path: path.startsWith("?") ? `/${path}` : path,
    headers: headers.map(([name, value]) => [name.toLowerCase(), value] as const),
  });
}

/**
 * What becomes of a call by a workload: at its own proxy, then at the proxy of every workload it may be sent to. A call by a gateway
 * is one that arrives at that gateway from outside.
 */
export function simulateCall(mesh: SimulatedMesh, from: Participant, call: CallInput): CallTrace {
  const gateway = from.proxy === "gateway";
  const proxy = mesh.proxyOf(from);
  const known = isIP(call.host) !== 0 ? call.host : proxy.resolve(call.host)?.[0];
  const connection: ConnectionInput = {
    direction: gateway ? "gateway" : "outbound",
    destinationAddress: gateway ? from.workload.address : (known ?? UNKNOWN),
    destinationPort: gateway ? mesh.targetPort(from, call.port) : call.port,
    sourceAddress: gateway ? OUTSIDE : from.workload.address,
    speaks: call.scheme === "tcp" ? "other" : "http",
    tls:
      call.scheme === "https"
        ? { serverName: nameOf(call.host), applicationProtocols: ["http/1.1"], principal: undefined }
        : undefined,
  };
  const request = requestOf(call);
  // What an application encrypts itself nobody reads on the way; a gateway may be the one to decrypt it.
  const visible = call.scheme === "http" || (call.scheme === "https" && gateway);
  const client =
    from.proxy === "none"
      ? direct(connection, visible ? request : undefined)
      : simulate(proxy, connection, visible ? request : undefined);
  return {
    from: `${from.workload.namespace}/${from.workload.name}`,
    address: gateway ? undefined : known,
    client,
    servers:
      client.outcome.kind === "forward" ? serversOf(mesh, from, client.outcome, { connection, request, visible }) : [],
  };
}

/** An address that nobody has: of a host that the mesh does not know. RFC 5737. */
const UNKNOWN = "192.0.2.1";
const OUTSIDE = "203.0.113.1";

function nameOf(host: string): string {
  return isIP(host) === 0 ? host.toLowerCase() : "";
}

function requestOf(call: CallInput): RequestInput {
  const host = call.headers.find(([name]) => name === "host")?.[1];
  const literal = isIP(call.host) === 6 ? `[${call.host}]` : call.host;
  const usual = call.scheme !== "tcp" && call.port === PORTS[call.scheme];
  return {
    method: call.method,
    path: call.path,
    authority: host ?? (usual ? literal : `${literal}:${call.port}`),
    headers: call.headers.filter(([name]) => name !== "host"),
    claims: call.claims,
  };
}

/** Without a proxy a connection goes where it is headed. */
function direct(connection: ConnectionInput, request: RequestInput | undefined): Trace {
  const endpoint: EndpointFacts = {
    address: connection.destinationAddress,
    port: connection.destinationPort,
    priority: 0,
    healthy: true,
    workload: undefined,
    tls: "none",
    serverName: undefined,
    applicationProtocols: [],
  };
  const destination: DestinationFacts = {
    cluster: "",
    share: 1,
    authority: undefined,
    requestEdits: [],
    responseEdits: [],
    exists: true,
    missingStatus: 503,
    refused: undefined,
    object: undefined,
    endpoints: [endpoint],
  };
  return {
    listener: undefined,
    chain: undefined,
    downstreamTls: "none",
    policies: [],
    routeConfig: undefined,
    virtualHost: undefined,
    route: undefined,
    faults: [],
    outcome: {
      kind: "forward",
      destinations: [destination],
      path: request?.path,
      requestEdits: [],
      responseEdits: [],
      mirrors: [],
      timeoutMs: 0,
      retries: undefined,
    },
  };
}

interface Sent {
  readonly connection: ConnectionInput;
  readonly request: RequestInput;
  readonly visible: boolean;
}

function serversOf(
  mesh: SimulatedMesh,
  from: Participant,
  outcome: ForwardOutcome,
  sent: Sent,
): readonly ServerTrace[] {
  return outcome.destinations.flatMap((destination) => {
    const seen = new Set<string>();
    const traced = destination.endpoints.flatMap((endpoint) => {
      const server = mesh.at(endpoint.address);
      if (server === undefined || seen.has(`${server.workload.namespace}/${server.workload.name}`)) return [];
      seen.add(`${server.workload.namespace}/${server.workload.name}`);
      const trace =
        server.proxy === "sidecar" ? arrival(mesh, { from, server, endpoint, destination, outcome }, sent) : undefined;
      return [
        {
          cluster: destination.cluster,
          workload: `${server.workload.namespace}/${server.workload.name}`,
          endpoint: `${endpoint.address}:${endpoint.port}`,
          trace,
        },
      ];
    });
    return traced.sort((a, b) => (a.workload < b.workload ? -1 : 1));
  });
}

interface Arrival {
  readonly from: Participant;
  readonly server: Participant;
  readonly endpoint: EndpointFacts;
  readonly destination: DestinationFacts;
  readonly outcome: ForwardOutcome;
}

function arrival(mesh: SimulatedMesh, at: Arrival, { connection, request, visible }: Sent): Trace {
  const { from, server, endpoint, destination, outcome } = at;
  const { tls, serverName = "", applicationProtocols } = endpoint;
  // Bytes that the client's application encrypted are TLS for the server's proxy too, unless they travel inside the mesh's own.
  const ownTls = tls === "none" && !visible ? connection.tls : undefined;
  const input: ConnectionInput = {
    direction: "inbound",
    destinationAddress: endpoint.address,
    destinationPort: endpoint.port,
    sourceAddress: from.workload.address,
    speaks: visible && connection.speaks === "http" ? "http" : "other",
    tls:
      tls === "none"
        ? ownTls
        : { serverName, applicationProtocols, principal: tls === "mesh mTLS" ? from.principal : undefined },
  };
  if (!visible) return simulate(mesh.proxyOf(server), input);
  const headers = edited(request.headers, destination.requestEdits);
  return simulate(mesh.proxyOf(server), input, {
    ...request,
    path: outcome.path ?? request.path,
    authority: destination.authority ?? request.authority,
    headers,
  });
}

function edited(headers: RequestInput["headers"], edits: readonly HeaderChange[]): RequestInput["headers"] {
  let result = [...headers];
  for (const { change, name, value } of edits) {
    if (change !== "append") result = result.filter(([other]) => other !== name);
    if (change !== "remove") result.push([name, value]);
  }
  return result;
}
