import { readFile } from "node:fs/promises";
import { watchConfig } from "@lateen/adapter-grpc";
import { fileConfigSource, memoryQuotaStore } from "@lateen/adapter-local";
import { parseRedisUrl, redisQuotaStore } from "@lateen/adapter-redis";
import { type Clock, type Logger, type Scope, Secret } from "@lateen/kernel";
import { createRateLimiter, type RateLimiter, rateLimitsOfConfigMap } from "@lateen/mixer";
import type { ComponentIdentity } from "@lateen/pki";
import type { QuotaStore } from "@lateen/ports";
import type { MixerConfig } from "./config.ts";

const ROOT_NAMESPACE = "istio-system";

export interface RateLimitDeps {
  readonly identity: Pick<ComponentIdentity, "channelTo">;
  readonly clock: Clock;
  readonly scope: Scope;
  readonly logger: Logger;
}

/** The rate limiter with its limits from files and from galley, and its counters in Redis or, without one, in this process. */
export async function composeRateLimits(config: MixerConfig, deps: RateLimitDeps): Promise<RateLimiter> {
  const { scope, logger } = deps;
  const { galleyAddress, rateLimitConfig } = config;
  const sources = [
    ...(rateLimitConfig.length > 0 ? ["files"] : []),
    ...(galleyAddress === undefined ? [] : ["galley"]),
  ];
  const observer: { current: RateLimiter["observer"] | undefined } = { current: undefined };
  const store = await quotaStore(config, deps, observer);
  const limiter = createRateLimiter({ store: store.store, failMode: config.quotaFailMode, sources, logger });
  observer.current = limiter.observer;
  limiter.observer.onState(store.up());
  if (rateLimitConfig.length > 0) {
    await fileConfigSource(rateLimitConfig, { logger }).watch(scope, (documents) =>
      limiter.configure(
        "files",
        // What cannot be read right now stays as it was.
        documents.filter(({ unreadable }) => unreadable === undefined).map(({ file, text }) => ({ name: file, text })),
      ),
    );
  }
  if (galleyAddress !== undefined) {
    const changes = rateLimitsOfConfigMap(ROOT_NAMESPACE);
    watchConfig(
      scope,
      deps.identity.channelTo(galleyAddress, "istio-galley.istio-system.svc"),
      (delta) => limiter.configure("galley", changes(delta)),
      (state) => logger.info({ event: "galley.watch", ...state }),
      { kinds: ["ConfigMap"], logger },
    );
  }
  return limiter;
}

async function quotaStore(
  config: MixerConfig,
  { clock, scope, logger }: RateLimitDeps,
  observer: { readonly current: RateLimiter["observer"] | undefined },
): Promise<{ readonly store: QuotaStore; readonly up: () => boolean }> {
  const { redisUrl, redisPasswordFile, redisCaFile, redisTimeout } = config;
  if (redisUrl === undefined) return { store: memoryQuotaStore({ clock }), up: () => true };
  const read = async (file: string | undefined) => (file === undefined ? undefined : await readFile(file, "utf8"));
  const password = (await read(redisPasswordFile))?.trim();
  const caPem = await read(redisCaFile);
  const secret = password === undefined ? undefined : new Secret(password);
  const store = redisQuotaStore(scope, {
    address: parseRedisUrl(redisUrl),
    password: () => secret,
    ...(caPem === undefined ? {} : { tls: { caPem } }),
    timeoutMs: redisTimeout,
    observer: {
      onState: (up) => observer.current?.onState(up),
      onFailure: (failure) => observer.current?.onFailure(failure),
    },
    clock,
    random: { next: Math.random },
    logger,
  });
  return { store, up: () => store.up };
}
