import { readFile } from "node:fs/promises";
import { configEntryCodec, type WatchState, watchConfig } from "@lateen/adapter-grpc";
import { fileConfigSource, memoryBus, memoryQuotaStore } from "@lateen/adapter-local";
import { type NatsBus, natsBus, natsOptionsOf, type WatchDirectly } from "@lateen/adapter-nats";
import { parseRedisUrl, redisQuotaStore } from "@lateen/adapter-redis";
import { type Clock, type Logger, type Scope, Secret } from "@lateen/kernel";
import { createRateLimiter, type RateLimiter, rateLimitsOfConfigMap } from "@lateen/mixer";
import type { ComponentIdentity } from "@lateen/pki";
import { type AcceptedObject, CONFIG_TOPIC, type QuotaStore } from "@lateen/ports";
import type { MixerConfig } from "./config.ts";

const ROOT_NAMESPACE = "istio-system";

export interface RateLimitDeps {
  readonly identity: Pick<ComponentIdentity, "channelTo">;
  readonly clock: Clock;
  readonly scope: Scope;
  readonly logger: Logger;
}

/**
 * The rate limiter with its limits from files and from galley, and its counters in Redis or, without one, in this process; with the metrics of what
 * carries the limits.
 */
export async function composeRateLimits(
  config: MixerConfig,
  deps: RateLimitDeps,
): Promise<{ readonly limiter: RateLimiter; readonly metrics: () => string }> {
  const { scope, clock, logger } = deps;
  const { galleyAddress, rateLimitConfig } = config;
  const sources = [
    ...(rateLimitConfig.length > 0 ? ["files"] : []),
    ...(galleyAddress === undefined ? [] : ["galley"]),
  ];
  const observer: { current: RateLimiter["observer"] | undefined } = { current: undefined };
  const store = await quotaStore(config, deps, observer);
  const limiter = createRateLimiter({ store: store.store, failMode: config.quotaFailMode, sources, clock, logger });
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
    const follow = (watch: WatchDirectly<AcceptedObject>) =>
      watch(scope, (delta) => limiter.configure("galley", changes(delta)));
    const bus = followConfigMaps(config, { ...deps, galleyAddress }, follow);
    return { limiter, metrics: () => limiter.metrics() + (bus?.metrics() ?? "") };
  }
  return { limiter, metrics: () => limiter.metrics() };
}

/** ConfigMaps over NATS, and from galley itself while NATS is away; without NATS, from galley alone. */
function followConfigMaps(
  config: MixerConfig,
  { galleyAddress, identity, clock, scope, logger }: RateLimitDeps & { readonly galleyAddress: string },
  follow: (watch: WatchDirectly<AcceptedObject>) => void,
): NatsBus | undefined {
  const galley = identity.channelTo(galleyAddress, "istio-galley.istio-system.svc");
  const tell = (state: WatchState) => logger.info({ event: "galley.watch", ...state });
  const fromGalley: WatchDirectly<AcceptedObject> = (watch, receive) =>
    watchConfig(watch, galley, receive, tell, { kinds: ["ConfigMap"], logger });
  const options = natsOptionsOf(config);
  if (options === undefined) {
    follow(fromGalley);
    return undefined;
  }
  const bus = natsBus({
    ...options,
    name: "mixer",
    codecs: { [CONFIG_TOPIC]: configEntryCodec },
    direct: { [CONFIG_TOPIC]: fromGalley },
    wanted: { [CONFIG_TOPIC]: (key) => key.startsWith("ConfigMap/") },
    local: memoryBus({ logger }),
    ...{ scope, clock, logger },
  });
  follow((watch, receive) => bus.state<AcceptedObject>(CONFIG_TOPIC).watch(watch, receive));
  return bus;
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
