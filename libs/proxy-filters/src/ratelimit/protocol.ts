import { UNIT_SECONDS, wireText } from "@lateen/traffic";
import type { Descriptor } from "../common/descriptors.ts";
import { intOf, messageOf, readMessage, readStruct, textOf, type WireField, WireWriter } from "../common/wire.ts";

export const SHOULD_RATE_LIMIT = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit";

/** @see envoy.service.ratelimit.v3.RateLimitRequest */
export function rateLimitRequest(domain: string, descriptors: readonly Descriptor[]): Buffer {
  const request = new WireWriter().text(1, domain);
  for (const entries of descriptors) {
    request.message(2, (descriptor) => {
      for (const { key, value } of entries) descriptor.message(1, (entry) => entry.text(1, key).text(2, value));
    });
  }
  return request.finish();
}

/** What the service said. Header values one character a byte. */
export interface RateLimitAnswer {
  readonly overLimit: boolean;
  readonly responseHeaders: readonly (readonly [name: string, value: string])[];
  readonly requestHeaders: readonly (readonly [name: string, value: string])[];
  readonly body: string;
  readonly metadata: Readonly<Record<string, unknown>> | undefined;
  readonly limits: readonly LimitStatus[];
}
export interface LimitStatus {
  readonly perUnit: number;
  readonly unit: number;
  readonly name: string;
  readonly remaining: number;
  readonly resetSeconds: number;
}

const OK = 1;
const OVER_LIMIT = 2;

/** @returns undefined for what is no answer. @see envoy.service.ratelimit.v3.RateLimitResponse */
export function readRateLimitResponse(bytes: Buffer): RateLimitAnswer | undefined {
  try {
    const response = readMessage(bytes);
    const code = intOf(response, 1);
    if (code !== OK && code !== OVER_LIMIT) return undefined;
    const metadata = messageOf(response, 6);
    return {
      overLimit: code === OVER_LIMIT,
      limits: response.flatMap((field) => (field.number === 2 ? limitStatus(readMessage(field.bytes)) : [])),
      responseHeaders: headers(response, 3),
      requestHeaders: headers(response, 4),
      body: textOf(response, 5),
      metadata: metadata === undefined ? undefined : readStruct(metadata),
    };
  } catch {
    return undefined;
  }
}

function headers(response: readonly WireField[], number: number): RateLimitAnswer["responseHeaders"] {
  return response.flatMap((field) => {
    if (field.number !== number) return [];
    const header = readMessage(field.bytes);
    return [[textOf(header, 1).toLowerCase(), wireText(textOf(header, 2))] as const];
  });
}

function limitStatus(status: readonly WireField[]): readonly LimitStatus[] {
  const limit = messageOf(status, 2);
  if (limit === undefined) return [];
  return [
    {
      perUnit: intOf(limit, 1) >>> 0,
      unit: intOf(limit, 2),
      name: textOf(limit, 3),
      remaining: intOf(status, 3) >>> 0,
      resetSeconds: intOf(messageOf(status, 4) ?? [], 1),
    },
  ];
}

/** The tightest limit as clients are told of it. @see https://datatracker.ietf.org/doc/draft-polli-ratelimit-headers/03/ */
export function rateLimitHeaders(limits: readonly LimitStatus[]): readonly (readonly [name: string, value: string])[] {
  const tightest = limits.reduce<LimitStatus | undefined>(
    (least, limit) => (least === undefined || limit.remaining < least.remaining ? limit : least),
    undefined,
  );
  if (tightest === undefined) return [];
  const policies = limits.flatMap(({ perUnit, unit, name }) => {
    const window = UNIT_SECONDS[unit] ?? 0;
    if (window === 0) return [];
    return [`, ${perUnit};w=${window}${name === "" ? "" : `;name="${wireText(name)}"`}`];
  });
  return [
    ["x-ratelimit-limit", `${tightest.perUnit}${policies.join("")}`],
    ["x-ratelimit-remaining", String(tightest.remaining)],
    ["x-ratelimit-reset", String(tightest.resetSeconds)],
  ];
}
