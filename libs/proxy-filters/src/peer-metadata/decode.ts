import { typeUrl } from "@lateen/proto";
import {
  Config,
  type Config_DiscoveryMethod,
  type Config_PropagationMethod,
} from "@lateen/proto/istio/peer_metadata/peer_metadata";
import { onlyFields, refuse } from "@lateen/proxy";
import type { PeerMetadataConfig } from "./config.ts";

export const PEER_METADATA_TYPE = typeUrl(Config);

/** Only the header pair is known as a method; the others are refused. */
export function decodePeerMetadata(bytes: Uint8Array): PeerMetadataConfig {
  const config = Config.decode(bytes);
  const methods = ["downstreamDiscovery", "upstreamDiscovery", "downstreamPropagation", "upstreamPropagation"] as const;
  onlyFields(config, "", methods);
  const uses = (field: (typeof methods)[number]): boolean => {
    const list: readonly (Config_DiscoveryMethod | Config_PropagationMethod)[] = config[field];
    for (const { methodSpecifier } of list) {
      if (methodSpecifier?.$case !== "istioHeaders") refuse(field, "only istio_headers is supported by this proxy");
    }
    return list.length > 0;
  };
  return {
    readRequest: uses("downstreamDiscovery"),
    writeResponse: uses("downstreamPropagation"),
    readResponse: uses("upstreamDiscovery"),
    writeRequest: uses("upstreamPropagation"),
  };
}
