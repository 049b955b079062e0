import type { Gateway, MeshService } from "@lateen/mesh-model";
import type { JwtAuthentication } from "@lateen/proto/envoy/extensions/filters/http/jwt_authn/v3/config";
import type { BoundVirtualService } from "../world/virtual-services.ts";
import type { ObservedConfig } from "./access-log.ts";
import type { SniTarget } from "./auto-passthrough.ts";
import type { RbacRules } from "./filters.ts";
import { serverProtocol } from "./protocol.ts";
import type { RouteContext } from "./route-context.ts";

export type GatewayServer = NonNullable<Gateway["spec"]["servers"]>[number];

/** A server of a Gateway with the port it really listens on. */
export interface PlacedServer {
  readonly gateway: Gateway;
  readonly server: GatewayServer;
  /** Listening port: the target port of the gateway's own service where there is one. */
  readonly listenPort: number;
}

type ServerClass = "http" | "https" | "passthrough" | "autoPassthrough" | "tcp" | "unsupported";

/** What a server does with a connection. */
export function serverClass(server: GatewayServer): ServerClass {
  const protocol = serverProtocol(server.port.protocol);
  // What is not written is the first of the API's modes.
  const mode = server.tls === undefined ? "SIMPLE" : (server.tls.mode ?? "PASSTHROUGH");
  switch (protocol) {
    case "HTTP":
    case "HTTP2":
    case "GRPC":
    case "GRPCWeb":
      return "http";
    case "HTTPS":
      if (mode === "PASSTHROUGH") return "passthrough";
      return mode === "AUTO_PASSTHROUGH" ? "autoPassthrough" : "https";
    case "TLS":
      if (mode === "PASSTHROUGH") return "passthrough";
      return mode === "AUTO_PASSTHROUGH" ? "autoPassthrough" : "tcp";
    case "TCP":
    case "Mongo":
    case "Redis":
    case "MySQL":
      return "tcp";
    default:
      return "unsupported";
  }
}

/** What the listeners of a gateway proxy depend on besides its servers. */
export interface GatewayContext {
  readonly config: ObservedConfig;
  readonly extensions: readonly string[];
  /** Some visible service is found by the host of each request, and the proxy can do that. */
  readonly dynamicDns: boolean;
  readonly client: { readonly http2: boolean; readonly lateen: boolean };
  readonly http: RbacRules;
  readonly tcp: RbacRules;
  readonly tokens?: JwtAuthentication | undefined;
  /** Visible virtual services, oldest first. */
  readonly virtualServices: readonly BoundVirtualService[];
  readonly service: (host: string) => MeshService | undefined;
  /** Destinations of servers of mode AUTO_PASSTHROUGH. */
  readonly sniTargets: readonly SniTarget[];
  /** For routes; what depends on the server is set per server. */
  readonly route: Omit<RouteContext, "gateway" | "port" | "secure">;
}
