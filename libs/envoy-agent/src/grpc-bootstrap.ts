import { nodeDocument, type StockNode } from "./node.ts";

export interface GrpcBootstrapOptions {
  readonly node: StockNode;
  /** Socket on which the agent relays ADS. */
  readonly socket: string;
  /** Directory with `cert-chain.pem`, `key.pem` and `root-cert.pem`. */
  readonly certificateDir: string;
}

/**
 * The file that `GRPC_XDS_BOOTSTRAP` names, for proxyless gRPC (gRFC A27, A29): ADS from the agent's socket, certificates from files
 * that the agent renews, Istio's `GENERATOR: grpc` so that the control plane sends what gRPC understands.
 */
export function grpcBootstrap(options: GrpcBootstrapOptions): Readonly<Record<string, unknown>> {
  const certificates = {
    plugin_name: "file_watcher",
    config: {
      certificate_file: `${options.certificateDir}/cert-chain.pem`,
      private_key_file: `${options.certificateDir}/key.pem`,
      ca_certificate_file: `${options.certificateDir}/root-cert.pem`,
      refresh_interval: "900s",
    },
  };
  return {
    xds_servers: [
      {
        server_uri: `unix://${options.socket}`,
        channel_creds: [{ type: "insecure" }],
        server_features: ["xds_v3"],
      },
    ],
    node: nodeDocument(options.node, { GENERATOR: "grpc" }),
    certificate_providers: { default: certificates, ROOTCA: certificates },
    server_listener_resource_name_template: "xds.istio.io/grpc/lds/inbound/%s",
  };
}
