/**
 * Seconds of the units that limits are given in, by their number on the wire: none, second, minute, hour, day, month (30 days), year (365 days).
 * @see envoy.service.ratelimit.v3.RateLimitResponse.RateLimit.Unit
 */
export const UNIT_SECONDS: readonly number[] = [0, 1, 60, 3600, 86_400, 2_592_000, 31_536_000];
