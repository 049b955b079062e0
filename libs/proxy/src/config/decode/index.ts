export { type Decodable, decodeBytes, unpack } from "./any.ts";
export { clusterSpec, type DecodedCluster } from "./cluster.ts";
export { type DecodeContext, type DecodeRun, decodeRun } from "./context.ts";
export { dnsCache } from "./dns-cache.ts";
export { localities } from "./endpoints.ts";
export { join, millis, onlyFields, optionalMs, Refusal, refuse } from "./fields.ts";
export { listenerSpec } from "./listener.ts";
export {
  cidr,
  fractionOf,
  headerMatch,
  metadataMatch,
  queryMatch,
  re2Pattern,
  runtimeFraction,
  stringMatch,
} from "./matchers.ts";
export { nameTable } from "./names.ts";
export { routeMatch, routeTable } from "./route-table.ts";
export { secretSpec } from "./secret.ts";
export { fileSecret } from "./tls.ts";
