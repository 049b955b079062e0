import type { HttpFilterRuntime, NetworkFilterRuntime } from "@lateen/proxy";
import { corsRuntime } from "./cors/cors.ts";
import { faultRuntime } from "./fault/fault.ts";
import { peerMetadataRuntime } from "./peer-metadata/peer-metadata.ts";
import { httpRbacRuntime } from "./rbac/http-rbac.ts";
import { networkRbacRuntime } from "./rbac/network-rbac.ts";
import { statsRuntime } from "./stats/stats.ts";

/** What workers run. Nothing here imports protobuf code. */
export const httpFilterRuntimes: readonly HttpFilterRuntime[] = [
  peerMetadataRuntime,
  httpRbacRuntime,
  faultRuntime,
  corsRuntime,
  statsRuntime,
];

export const networkFilterRuntimes: readonly NetworkFilterRuntime[] = [networkRbacRuntime];
