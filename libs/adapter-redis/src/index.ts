export { badRedisUrl, quotaUnavailable, type RedisFailure } from "./errors.ts";
export type { RedisObserver, RedisQuotaOptions, RedisTls } from "./options.ts";
export { type RedisQuotaStore, redisQuotaStore } from "./redis-quota-store.ts";
export { parseRedisUrl, type RedisAddress } from "./redis-url.ts";
