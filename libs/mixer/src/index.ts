export { badRateLimitRequest, limitsNotKnown } from "./errors.ts";
export { rateLimitsOfConfigMap } from "./limits/follow-config-map.ts";
export type { LimitDocument } from "./limits/limit-config.ts";
export {
  createRateLimiter,
  type QuotaFailMode,
  type RateLimiter,
  type RateLimiterOptions,
} from "./limits/rate-limiter.ts";
export { createMixer, type Mixer, type MixerLimits, type MixerOptions } from "./mixer.ts";
export { mixerProvider } from "./provider.ts";
