import { durationToMs, typeUrl } from "@lateen/proto";
import { HealthCheck } from "@lateen/proto/envoy/extensions/filters/http/health_check/v3/health_check";
import { headerMatch, refuse } from "@lateen/proxy";
import { compileHeaderMatch } from "@lateen/traffic";
import type { HealthCheckConfig } from "./config.ts";

export const HEALTH_CHECK_TYPE = typeUrl(HealthCheck);

/** @see envoy.extensions.filters.http.health_check.v3.HealthCheck */
export function decodeHealthCheck(bytes: Uint8Array): HealthCheckConfig {
  const message = HealthCheck.decode(bytes);
  const passThrough = message.passThroughMode ?? refuse("pass_through_mode", "required");
  const cacheMs = message.cacheTime === undefined ? 0 : durationToMs(message.cacheTime);
  if (cacheMs < 0) refuse("cache_time", "must not be negative");
  if (cacheMs > 0 && !passThrough) refuse("cache_time", "makes sense with pass_through_mode only");
  const headers = message.headers.map((header, i) => headerMatch(header, `headers[${i}]`));
  for (const header of headers) compileHeaderMatch(header);
  const clusters = Object.entries(message.clusterMinHealthyPercentages).map(([name, share]) => [name, share.value]);
  return { passThrough, cacheMs, clusters: Object.fromEntries(clusters) as Record<string, number>, headers };
}
