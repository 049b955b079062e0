import { describe, expect, it } from "vitest";
import type { RetrySpec } from "../route/spec.ts";
import { type AttemptOutcome, backoffMs, retryDecision } from "./retry.ts";

const spec = (...retryOn: readonly string[]): RetrySpec => ({
  attempts: 2,
  retryOn,
  retriableStatusCodes: [418],
  perTryTimeoutMs: 0,
  baseIntervalMs: 25,
  maxIntervalMs: 250,
  avoidPreviousHosts: true,
  hostSelectionMaxAttempts: 5,
});
const status = (code: number, grpcStatus?: number): AttemptOutcome => ({
  kind: "status",
  status: code,
  ...(grpcStatus === undefined ? {} : { grpcStatus }),
});
const connectFailure: AttemptOutcome = { kind: "connectFailure" };
const reset: AttemptOutcome = { kind: "reset", requestSent: true };
const early: AttemptOutcome = { kind: "reset", requestSent: false };
const timeout: AttemptOutcome = { kind: "timeout" };
const refused: AttemptOutcome = { kind: "refused" };

describe("tokens", () => {
  it.each<[string, AttemptOutcome[], AttemptOutcome[]]>([
    ["5xx", [status(500), status(503), connectFailure, reset, timeout, refused], [status(404), status(200)]],
    ["gateway-error", [status(502), status(503), status(504), reset, timeout], [status(500), status(505)]],
    ["reset", [reset, connectFailure, timeout, refused], [status(503)]],
    ["reset-before-request", [early, connectFailure], [reset, { kind: "reset" }, timeout]],
    ["connect-failure", [connectFailure], [reset, timeout, status(503), refused]],
    ["refused-stream", [refused], [reset, connectFailure]],
    ["retriable-4xx", [status(409)], [status(404), status(503)]],
    ["retriable-status-codes", [status(418)], [status(503), reset]],
    ["unavailable", [status(200, 14)], [status(503), status(200, 13)]],
    ["cancelled", [status(200, 1)], [status(200, 0)]],
    ["deadline-exceeded", [status(200, 4)], [status(504)]],
    ["resource-exhausted", [status(200, 8)], [status(429)]],
    ["internal", [status(200, 13)], [status(500)]],
    ["no-such-token", [], [status(500), reset, connectFailure]],
  ])("%s", (token, yes, no) => {
    for (const outcome of yes) expect(retryDecision(spec(token), 1, outcome), JSON.stringify(outcome)).toBe(true);
    for (const outcome of no) expect(retryDecision(spec(token), 1, outcome), JSON.stringify(outcome)).toBe(false);
  });

  it("any one is enough", () => {
    expect(retryDecision(spec("connect-failure", "retriable-status-codes"), 1, status(418))).toBe(true);
  });
});

it("takes what a rate limit refused for final unless the policy names it", () => {
  const limited: AttemptOutcome = { kind: "status", status: 429, rateLimited: true };
  const codes = { ...spec("retriable-status-codes", "5xx"), retriableStatusCodes: [429] };
  expect(retryDecision(codes, 1, { kind: "status", status: 429 })).toBe(true);
  expect(retryDecision(codes, 1, limited)).toBe(false);
  expect(retryDecision(spec("5xx"), 1, { ...limited, status: 503 })).toBe(false);
  expect(retryDecision(spec("envoy-ratelimited"), 1, limited)).toBe(true);
  expect(retryDecision(spec("envoy-ratelimited"), 1, { kind: "status", status: 429 })).toBe(false);
});

it("stops after its attempts, and without a policy", () => {
  expect([1, 2, 3].map((attempt) => retryDecision(spec("5xx"), attempt, status(500)))).toEqual([true, true, false]);
  expect(retryDecision({ ...spec("5xx"), attempts: 0 }, 1, status(500))).toBe(false);
  expect(retryDecision(undefined, 1, status(500))).toBe(false);
});

it("waits a random time below an interval that doubles up to its maximum", () => {
  const top = () => 0.999999;
  expect([1, 2, 3, 4, 5, 100].map((attempt) => backoffMs(spec(), attempt, top))).toEqual([24, 49, 99, 199, 249, 249]);
  expect(backoffMs(spec(), 3, () => 0)).toBe(0);
  expect(backoffMs(spec(), 0, top)).toBe(24);
});
