import { codes } from "../../errors.ts";
import type { Infer } from "../../schema/index.ts";
import type { Check } from "../../validation/check.ts";
import { checkDuration, checkPercent } from "../../validation/common.ts";
import { grpcStatusCode } from "./grpc-status.ts";
import type { virtualServiceBody } from "./schema.ts";

type HttpRoute = NonNullable<Infer<typeof virtualServiceBody>["spec"]["http"]>[number];

/** Envoy's x-envoy-retry-on and x-envoy-retry-grpc-on conditions. */
const RETRY_ON: ReadonlySet<string> = new Set([
  "5xx",
  "gateway-error",
  "reset",
  "reset-before-request",
  "connect-failure",
  "envoy-ratelimited",
  "retriable-4xx",
  "refused-stream",
  "retriable-status-codes",
  "retriable-headers",
  "http3-post-connect-failure",
  "cancelled",
  "deadline-exceeded",
  "internal",
  "resource-exhausted",
  "unavailable",
]);
/** HTTPRetry. */
export function checkRetries(retries: HttpRoute["retries"], check: Check): void {
  if (retries === undefined) return;
  const { attempts } = retries;
  if (attempts === 0) {
    for (const field of ["perTryTimeout", "retryOn"] as const) {
      if (retries[field]) check.at(field).error(`${field} has no meaning when attempts is 0`, { code: codes.conflict });
    }
  }
  checkDuration(retries.perTryTimeout, check.at("perTryTimeout"), true);
  checkDuration(retries.backoff, check.at("backoff"));
  for (const token of (retries.retryOn ?? "").split(",").map((part) => part.trim())) {
    if (token === "" || RETRY_ON.has(token)) continue;
    const status = /^\d{3}$/.test(token) ? Number(token) : 0;
    if (status < 100 || status > 599) check.at("retryOn").error(`"${token}" is not a retry condition or a status code`);
  }
}

/** HTTPFaultInjection. */
export function checkFault(fault: HttpRoute["fault"], check: Check): void {
  if (fault === undefined) return;
  if (fault.delay === undefined && fault.abort === undefined) check.error("a fault needs delay or abort");
  checkDelay(fault.delay, check.at("delay"));
  checkAbort(fault.abort, check.at("abort"));
}

function checkDelay(delay: NonNullable<HttpRoute["fault"]>["delay"], check: Check): void {
  if (delay === undefined) return;
  if (delay.exponentialDelay !== undefined) {
    check.at("exponentialDelay").error("exponentialDelay is not supported by any proxy", { code: codes.unsupported });
  } else if (delay.fixedDelay === undefined) {
    check.error(`field "fixedDelay" is required`, { code: codes.missingField });
  }
  checkDuration(delay.fixedDelay, check.at("fixedDelay"));
  checkPercent(delay.percentage?.value, check.at("percentage", "value"));
  if (delay.percentage === undefined && delay.percent === undefined) {
    check.warn("without a percentage no request is delayed", { hint: "add percentage: {value: 100}" });
  }
}

function checkAbort(abort: NonNullable<HttpRoute["fault"]>["abort"], check: Check): void {
  if (abort === undefined) return;
  if (abort.http2Error !== undefined) {
    check.at("http2Error").error("http2Error is not supported by any proxy", { code: codes.unsupported });
  }
  const { httpStatus, grpcStatus } = abort;
  if ((httpStatus === undefined) === (grpcStatus === undefined)) {
    check.error("an abort needs exactly one of httpStatus, grpcStatus", { code: codes.conflict });
  }
  if (httpStatus !== undefined && (httpStatus < 200 || httpStatus > 599)) {
    check.at("httpStatus").error(`httpStatus must be between 200 and 599, not ${httpStatus}`);
  }
  if (grpcStatus !== undefined && grpcStatusCode(grpcStatus) === undefined) {
    check.at("grpcStatus").error(`"${grpcStatus}" is not a gRPC status name or code`);
  }
  checkPercent(abort.percentage?.value, check.at("percentage", "value"));
  if (abort.percentage === undefined) {
    check.warn("without a percentage no request is aborted", { hint: "add percentage: {value: 100}" });
  }
}
