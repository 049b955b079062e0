import type { MeshServicePort, Protocol } from "@lateen/mesh-model";

/** What a proxy makes of a port: parse HTTP, route TLS by SNI, forward bytes, or find out. */
export type PortClass = "http" | "tls" | "tcp" | "auto";

/**
 * The class of a port for a proxy. One without HTTP/2 treats ports declared HTTP/2 or gRPC as opaque bytes rather than break
 * them.
 */
export function portClass(protocol: Protocol, client: { readonly http2: boolean }): PortClass {
  switch (protocol) {
    case "HTTP":
    case "HTTP_PROXY":
    case "GRPCWeb":
      return "http";
    case "HTTP2":
    case "GRPC":
      return client.http2 ? "http" : "tcp";
    case "HTTPS":
    case "TLS":
      return "tls";
    case "Auto":
      return "auto";
    case "TCP":
    case "Mongo":
    case "Redis":
    case "MySQL":
      return "tcp";
  }
}

/** Whether upstreams of this protocol speak HTTP/2. */
export function isHttp2(protocol: Protocol): boolean {
  return protocol === "HTTP2" || protocol === "GRPC";
}

/** Whether route configurations cover the port: HTTP, or HTTP when the bytes say so. */
export function isRouted(port: MeshServicePort, client: { readonly http2: boolean }): boolean {
  const known = portClass(port.protocol, client);
  return known === "http" || known === "auto";
}

const PROTOCOLS: Readonly<Record<string, Protocol>> = {
  HTTP: "HTTP",
  HTTP2: "HTTP2",
  GRPC: "GRPC",
  "GRPC-WEB": "GRPCWeb",
  HTTPS: "HTTPS",
  TLS: "TLS",
  TCP: "TCP",
  MONGO: "Mongo",
  REDIS: "Redis",
  MYSQL: "MySQL",
};

/** The protocol a Gateway server names; undefined when unknown. */
export function serverProtocol(text: string): Protocol | undefined {
  return PROTOCOLS[text.toUpperCase()];
}
