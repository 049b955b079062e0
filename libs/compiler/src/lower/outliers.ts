import { durationFromMs } from "@lateen/proto";
import { OutlierDetection } from "@lateen/proto/envoy/config/cluster/v3/outlier_detection";
import { milliseconds, type PolicyBlocks } from "./traffic-policy.ts";

/** Passive health checking. Istio never ejects by success rate. */
export function outlier(policy: NonNullable<PolicyBlocks["outlierDetection"]>): OutlierDetection {
  const consecutive5xx = policy.consecutive5xxErrors ?? policy.consecutiveErrors;
  const gateway = policy.consecutiveGatewayErrors;
  return OutlierDetection.fromPartial({
    enforcingSuccessRate: 0,
    ...(consecutive5xx === undefined
      ? {}
      : { consecutive5xx: Math.max(consecutive5xx, 1), enforcingConsecutive5xx: consecutive5xx > 0 ? 100 : 0 }),
    ...(gateway === undefined
      ? {}
      : {
          consecutiveGatewayFailure: Math.max(gateway, 1),
          enforcingConsecutiveGatewayFailure: gateway > 0 ? 100 : 0,
        }),
    ...(policy.interval === undefined ? {} : { interval: durationFromMs(milliseconds(policy.interval)) }),
    ...(policy.baseEjectionTime === undefined
      ? {}
      : { baseEjectionTime: durationFromMs(milliseconds(policy.baseEjectionTime)) }),
    ...(policy.maxEjectionPercent === undefined ? {} : { maxEjectionPercent: policy.maxEjectionPercent }),
    ...(policy.splitExternalLocalOriginErrors
      ? {
          splitExternalLocalOriginErrors: true,
          enforcingLocalOriginSuccessRate: 0,
          ...(policy.consecutiveLocalOriginFailures === undefined
            ? {}
            : {
                consecutiveLocalOriginFailure: Math.max(policy.consecutiveLocalOriginFailures, 1),
                enforcingConsecutiveLocalOriginFailure: policy.consecutiveLocalOriginFailures > 0 ? 100 : 0,
              }),
        }
      : {}),
  });
}
