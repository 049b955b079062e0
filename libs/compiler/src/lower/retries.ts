import { durationFromMs, packAny } from "@lateen/proto";
import { RetryPolicy } from "@lateen/proto/envoy/config/route/v3/route_components";
import { PreviousHostsPredicate } from "@lateen/proto/envoy/extensions/retry/host/previous_hosts/v3/previous_hosts";
import { PreviousPrioritiesConfig } from "@lateen/proto/envoy/extensions/retry/priority/previous_priorities/v3/previous_priorities_config";
import type { RouteContext } from "./route-context.ts";
import type { HttpRule } from "./route-match.ts";
import { milliseconds } from "./traffic-policy.ts";

const DEFAULT_RETRY_ON = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes";

const PREVIOUS_HOSTS = "envoy.retry_host_predicates.previous_hosts";

/**
 * Retries of a rule, else of the mesh, else Istio's default: two more attempts on failures that were not answered.
 * `attempts` 0 or left out of a rule turns retries off.
 */
export function retryPolicy(
  rule: HttpRule["retries"],
  mesh: RouteContext["retry"],
  hashed = false,
): RetryPolicy | undefined {
  const attempts = rule === undefined ? (mesh?.attempts ?? 2) : (rule.attempts ?? 0);
  if (attempts <= 0) return undefined;
  const written = rule === undefined ? mesh?.retryOn : rule.retryOn;
  const { retryOn, codes } = splitRetryOn(written || DEFAULT_RETRY_ON);
  const perTry = rule === undefined ? mesh?.perTryTimeoutMs : optionalMs(rule.perTryTimeout);
  const backoff = rule === undefined ? mesh?.backoffMs : optionalMs(rule.backoff);
  // A request that is hashed belongs to one endpoint, also when it is tried again.
  const avoidPrevious =
    !hashed && ((rule === undefined ? mesh?.retryIgnorePreviousHosts : rule.retryIgnorePreviousHosts) ?? true);
  const otherLocalities = rule === undefined ? mesh?.retryRemoteLocalities : rule.retryRemoteLocalities;
  return RetryPolicy.fromPartial({
    retryOn,
    numRetries: attempts,
    ...(perTry ? { perTryTimeout: durationFromMs(perTry) } : {}),
    ...(avoidPrevious
      ? {
          retryHostPredicate: [
            {
              name: PREVIOUS_HOSTS,
              configType: {
                $case: "typedConfig",
                value: packAny(PreviousHostsPredicate, PreviousHostsPredicate.fromPartial({})),
              },
            },
          ],
        }
      : {}),
    hostSelectionRetryMaxAttempts: 5,
    ...(otherLocalities ? { retryPriority: previousPriorities() } : {}),
    retriableStatusCodes: codes,
    ...(backoff ? { retryBackOff: { baseInterval: durationFromMs(backoff) } } : {}),
  });
}

/** After two attempts the priorities they went to are left out. */
function previousPriorities() {
  const config = PreviousPrioritiesConfig.fromPartial({ updateFrequency: 2 });
  return {
    name: "envoy.retry_priorities.previous_priorities",
    configType: { $case: "typedConfig", value: packAny(PreviousPrioritiesConfig, config) } as const,
  };
}

function optionalMs(text: string | undefined): number | undefined {
  return text === undefined ? undefined : milliseconds(text);
}

/** Numbers among the tokens are status codes. */
function splitRetryOn(text: string): { readonly retryOn: string; readonly codes: number[] } {
  const tokens = text
    .split(",")
    .map((token) => token.trim())
    .filter((token) => token !== "");
  const codes = tokens.filter((token) => /^[1-5]\d\d$/.test(token)).map(Number);
  const names = tokens.filter((token) => !/^\d+$/.test(token));
  if (codes.length > 0 && !names.includes("retriable-status-codes")) names.push("retriable-status-codes");
  return { retryOn: names.join(","), codes };
}
