import { grpcStatusCode } from "@lateen/mesh-model";
import { durationFromMs } from "@lateen/proto";
import { HTTPFault } from "@lateen/proto/envoy/extensions/filters/http/fault/v3/fault";
import { fractionalPercent } from "./proto.ts";
import type { HttpRule } from "./route-match.ts";
import { milliseconds } from "./traffic-policy.ts";

/** Name of the fault filter, and the key of its configuration on a route. */
export const FAULT_FILTER = "envoy.filters.http.fault";

/** What a rule injects, or undefined. Delay and abort are drawn independently; Envoy delays first. */
export function faultConfig(fault: HttpRule["fault"]): HTTPFault | undefined {
  const delay = fault?.delay;
  const abort = fault?.abort;
  const grpc = abort?.grpcStatus === undefined ? undefined : grpcStatusCode(abort.grpcStatus);
  // Istio: a fault without a percentage happens to nobody.
  const delayShare = delay?.percentage?.value ?? delay?.percent ?? 0;
  const abortShare = abort?.percentage?.value ?? 0;
  if (delay?.fixedDelay === undefined && abort === undefined) return undefined;
  return HTTPFault.fromPartial({
    ...(delay?.fixedDelay === undefined
      ? {}
      : {
          delay: {
            faultDelaySecifier: { $case: "fixedDelay", value: durationFromMs(milliseconds(delay.fixedDelay)) },
            percentage: fractionalPercent(delayShare),
          },
        }),
    ...(abort === undefined
      ? {}
      : {
          abort: {
            errorType:
              grpc !== undefined
                ? { $case: "grpcStatus", value: grpc }
                : { $case: "httpStatus", value: abort.httpStatus ?? 500 },
            percentage: fractionalPercent(abortShare),
          },
        }),
  });
}
