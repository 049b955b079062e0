import { durationToMs, typeUrl } from "@lateen/proto";
import type { FaultDelay } from "@lateen/proto/envoy/extensions/filters/common/fault/v3/fault";
import { type FaultAbort, HTTPFault } from "@lateen/proto/envoy/extensions/filters/http/fault/v3/fault";
import type { FractionalPercent } from "@lateen/proto/envoy/type/v3/percent";
import { fractionOf, headerMatch, onlyFields, refuse } from "@lateen/proxy";
import { compileHeaderMatch } from "@lateen/traffic";
import { type AbortSpec, type DelaySpec, type FaultConfig, GRPC_ABORT_STATUS } from "./config.ts";

export const FAULT_TYPE = typeUrl(HTTPFault);

/** Runtime keys are accepted: this proxy has no runtime layer that could override what they name. */
const HONOURED = [
  "delay",
  "abort",
  "upstreamCluster",
  "headers",
  "maxActiveFaults",
  "delayPercentRuntime",
  "abortPercentRuntime",
  "delayDurationRuntime",
  "abortHttpStatusRuntime",
  "maxActiveFaultsRuntime",
  "responseRateLimitPercentRuntime",
  "abortGrpcStatusRuntime",
  "disableDownstreamClusterStats",
  "filterMetadata",
] as const;

/** Reads the filter's and the routes' configuration, which are one message. Response rate limits are refused. */
export function decodeFault(bytes: Uint8Array): FaultConfig {
  const message = HTTPFault.decode(bytes);
  onlyFields(message, "", HONOURED);
  const headers = message.headers.map((header, index) => headerMatch(header, `headers[${index}]`));
  for (const header of headers) compileHeaderMatch(header);
  return {
    delay: message.delay === undefined ? undefined : delayOf(message.delay),
    abort: message.abort === undefined ? undefined : abortOf(message.abort),
    cluster: message.upstreamCluster === "" ? undefined : message.upstreamCluster,
    headers,
    maxActive: message.maxActiveFaults,
  };
}

function delayOf(delay: FaultDelay): DelaySpec {
  const fraction = share(delay.percentage);
  switch (delay.faultDelaySecifier?.$case) {
    case "fixedDelay": {
      const fixedMs = durationToMs(delay.faultDelaySecifier.value);
      if (fixedMs <= 0) refuse("delay.fixed_delay", "must be more than nothing");
      return { fraction, fixedMs };
    }
    case "headerDelay":
      return { fraction, fixedMs: undefined };
    case undefined:
      return refuse("delay", "fixed_delay or header_delay is required");
  }
}

function abortOf(abort: FaultAbort): AbortSpec {
  const fraction = share(abort.percentage);
  const type = abort.errorType;
  switch (type?.$case) {
    case "httpStatus":
      if (type.value < 200 || type.value > 599) refuse("abort.http_status", `${type.value} is not between 200 and 599`);
      return { fraction, answer: { status: type.value, grpcStatus: undefined } };
    case "grpcStatus":
      return { fraction, answer: { status: GRPC_ABORT_STATUS, grpcStatus: type.value } };
    case "headerAbort":
      return { fraction, answer: undefined };
    case undefined:
      return refuse("abort", "http_status, grpc_status or header_abort is required");
  }
}

/** Unlike elsewhere, a fault without a percentage never happens. */
function share(percentage: FractionalPercent | undefined): number {
  return percentage === undefined ? 0 : fractionOf(percentage);
}
