import type { Protocol } from "./types.ts";

const BY_NAME: ReadonlyMap<string, Protocol> = new Map([
  ["tcp", "TCP"],
  ["grpc", "GRPC"],
  ["grpc-web", "GRPCWeb"],
  ["http", "HTTP"],
  ["http_proxy", "HTTP_PROXY"],
  ["http2", "HTTP2"],
  ["https", "HTTPS"],
  ["tls", "TLS"],
  ["mongo", "Mongo"],
  ["redis", "Redis"],
  ["mysql", "MySQL"],
]);
const BY_APP_PROTOCOL: ReadonlyMap<string, Protocol> = new Map([
  ["kubernetes.io/h2c", "HTTP2"],
  ["kubernetes.io/ws", "HTTP"],
  ["kubernetes.io/wss", "HTTPS"],
]);
/** Server-first protocols, where waiting for the client's first bytes would hang: smtp, dns, mysql, mongo. */
const TCP_PORTS: ReadonlySet<number> = new Set([25, 53, 3306, 27017]);

/** The protocol a name stands for (`HTTP`, `grpc-web`, …), case ignored; undefined when there is none such. */
export function parseProtocol(name: string): Protocol | undefined {
  return BY_NAME.get(name.toLowerCase());
}

/**
 * Protocol of a Kubernetes service port: `appProtocol` beats the port's name (`<protocol>` or `<protocol>-suffix`). Without
 * either it is `Auto` (sniffed), except on well-known server-first ports.
 */
export function protocolOf(portName: string | undefined, appProtocol: string | undefined, number: number): Protocol {
  if (appProtocol) {
    const declared = BY_APP_PROTOCOL.get(appProtocol.toLowerCase()) ?? parseProtocol(appProtocol);
    if (declared !== undefined) return declared;
  }
  const named = portName ? protocolOfName(portName.toLowerCase()) : undefined;
  return named ?? (TCP_PORTS.has(number) ? "TCP" : "Auto");
}

function protocolOfName(name: string): Protocol | undefined {
  if (name === "grpc-web" || name.startsWith("grpc-web-")) return "GRPCWeb";
  const dash = name.indexOf("-");
  return BY_NAME.get(dash < 0 ? name : name.slice(0, dash));
}

const HTTP_FAMILY: ReadonlySet<Protocol> = new Set(["HTTP", "HTTP_PROXY", "HTTP2", "GRPC", "GRPCWeb"]);

/** HTTP that the proxy reads: routes of kind `http` apply. `Auto` is not included. */
export function isHttpProtocol(protocol: Protocol): boolean {
  return HTTP_FAMILY.has(protocol);
}
/** TLS that the proxy passes through by SNI: routes of kind `tls` apply. */
export function isTlsProtocol(protocol: Protocol): boolean {
  return protocol === "HTTPS" || protocol === "TLS";
}
