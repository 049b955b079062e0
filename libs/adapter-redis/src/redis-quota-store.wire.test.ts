import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Scope, Secret, sleep, systemClock } from "@lateen/kernel";
import {
  createTestCa,
  eventually,
  quotaStoreContract,
  RedisServer,
  recordingLogger,
  redisServerPath,
} from "@lateen/test-support";
import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { RedisQuotaOptions } from "./options.ts";
import { type RedisQuotaStore, redisQuotaStore } from "./redis-quota-store.ts";
import { parseRedisUrl } from "./redis-url.ts";

const found = redisServerPath();
/** Why there is no Redis here; undefined when there is one. */
const noRedis = found.path === undefined ? found.reason : undefined;
const scope = new Scope();
afterAll(() => scope.close());
const clock = systemClock({ unref: false });
const PATIENT: Partial<RedisQuotaOptions> = { timeoutMs: 20_000, connectTimeoutMs: 20_000 };

/** A store that is up. The contract does not want to hear of a machine's hiccups, so its answers may take their time. */
async function connected(port: number, options: Partial<RedisQuotaOptions> = {}): Promise<RedisQuotaStore> {
  const store = open(port, options);
  await eventually("Redis is asked", async () => (store.up ? true : undefined), 30_000, 5);
  return store;
}
function open(port: number, options: Partial<RedisQuotaOptions> = {}): RedisQuotaStore {
  const address = parseRedisUrl(`redis://127.0.0.1:${port}`);
  const random = { next: () => 0.5 };
  return redisQuotaStore(scope, { address, clock, random, logger: recordingLogger(), ...PATIENT, ...options });
}
const ask = (key: string, amount = 1) => ({
  key,
  amount,
  limit: { max: 10, windowMs: 3_600_000, algorithm: "rolling" } as const,
});

describe.skipIf(noRedis !== undefined)(`Redis${noRedis === undefined ? "" : ` (skipped: ${noRedis})`}`, () => {
  let server: RedisServer;
  let look: Redis;
  beforeAll(async () => {
    server = await RedisServer.start();
    look = new Redis(server.port, "127.0.0.1");
    scope.defer(() => {
      look.disconnect();
      return server.stop();
    });
  }, 60_000);

  quotaStoreContract({ describe, it, expect }, "Redis over several connections", async () => ({
    stores: await Promise.all(Array.from({ length: 4 }, () => connected(server.port))),
    pass: (ms) => sleep(clock, ms),
  }));

  it("lets every key expire when it has lost its effect", async () => {
    const store = await connected(server.port, { keyPrefix: "expiry:" });
    const windowMs = 30_000;
    const dedup = { id: "x", forMs: 5_000 };
    for (const algorithm of ["fixed", "rolling"] as const) {
      await store.allocate([{ key: "k", amount: 1, limit: { max: 5, windowMs, algorithm }, dedup }]);
    }
    const keys = (await look.keys("expiry:*")).sort();
    expect(keys).toEqual([
      "expiry:{fixed:30000:k}",
      "expiry:{fixed:30000:k}:x",
      "expiry:{rolling:30000:k}",
      "expiry:{rolling:30000:k}:x",
    ]);
    for (const key of keys) {
      const left = await look.pttl(key);
      expect(left, key).toBeGreaterThan(0);
      expect(left, key).toBeLessThanOrEqual(key.endsWith(":x") ? 6_000 : windowMs + 500 + 1_000);
    }
  });

  it("counts on when the script was flushed", async () => {
    const store = await connected(server.port);
    const key = `flushed ${Math.random()}`;
    await store.allocate([ask(key, 4)]);
    await look.script("FLUSH");
    expect((await store.allocate([ask(key, 4), ask(key, 4)])).map(({ granted }) => granted)).toEqual([4, 0]);
  });

  it("fails, and not more than that, when a key is something else", async () => {
    const failures: string[] = [];
    const store = await connected(server.port, { observer: { onFailure: (failure) => failures.push(failure) } });
    const key = `taken ${Math.random()}`;
    await look.set(`lateen:quota:{rolling:3600000:${key}}`, "text");
    await expect(store.allocate([ask(key)])).rejects.toMatchObject({ code: "LTN6501", retryable: true });
    expect(failures).toEqual(["error"]);
    expect((await store.allocate([ask(`${key} other`)]))[0]?.granted).toBe(1);
  });

  it("refuses what is more than may wait", async () => {
    const store = await connected(server.port, { maxInFlight: 2 });
    const outcomes = await Promise.allSettled(Array.from({ length: 5 }, () => store.allocate([ask("busy")])));
    expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(2);
    expect((await store.allocate([ask("not busy")]))[0]?.granted).toBe(1);
  });
});

describe.skipIf(noRedis !== undefined)("a Redis that goes away", () => {
  let server: RedisServer;
  beforeAll(async () => {
    server = await RedisServer.start();
    scope.defer(() => server.stop());
  }, 60_000);

  it("killed: fails at once, and counts again by itself", async () => {
    const states: boolean[] = [];
    const store = await connected(server.port, { observer: { onState: (up) => states.push(up) } });
    await server.kill();
    await eventually("the breaker is open", async () => (store.up ? undefined : true), 30_000, 1);
    // No timer runs before these fail: they are done before the event loop turns.
    const failed = store.allocate([ask("killed")]).catch((error: unknown) => error);
    const turned = new Promise((resolve) => setImmediate(() => resolve("waited")));
    expect(await Promise.race([failed, turned])).toMatchObject({ code: "LTN6501", detail: { failure: "away" } });
    await server.resume();
    await eventually("Redis is asked again", async () => (store.up ? true : undefined), 30_000, 5);
    expect((await store.allocate([ask("killed")]))[0]?.granted).toBe(1);
    expect(states).toEqual([false, true, false, true]);
  });

  it("killed with questions on the way: they fail", async () => {
    const store = await connected(server.port);
    server.freeze();
    const waiting = Promise.allSettled(Array.from({ length: 20 }, () => store.allocate([ask("on the way")])));
    await server.kill();
    expect((await waiting).map(({ status }) => status)).toEqual(Array.from({ length: 20 }, () => "rejected"));
    await server.resume();
  });

  it("frozen: fails after its time, then at once, and counts again by itself", async () => {
    const failures: string[] = [];
    const observer = { onFailure: (failure: string) => failures.push(failure) };
    const store = await connected(server.port, { timeoutMs: 15, failuresToOpen: 3, observer });
    server.freeze();
    for (let i = 0; i < 3; i++) {
      expect(store.up).toBe(true);
      await expect(store.allocate([ask("frozen")])).rejects.toMatchObject({ detail: { failure: "timeout" } });
    }
    expect(store.up).toBe(false);
    await expect(store.allocate([ask("frozen")])).rejects.toMatchObject({ detail: { failure: "away" } });
    expect(failures).toEqual(["timeout", "timeout", "timeout", "away"]);
    server.thaw();
    await eventually("Redis is asked again", async () => (store.up ? true : undefined), 30_000, 5);
    await eventually("it answers in its time", async () => {
      const [grant] = await store.allocate([ask("thawed")]).catch(() => []);
      return grant;
    });
  });

  it("frozen: its time runs from when the question came in, and what came too late is no failure of Redis", async () => {
    const failures: string[] = [];
    const observer = { onFailure: (failure: string) => failures.push(failure) };
    // Of an hour only the end is left: the test would not see the end of a wait that began anew.
    const hour = 3_600_000;
    const store = await connected(server.port, { timeoutMs: hour, failuresToOpen: 3, observer });
    server.freeze();
    const asked = (ageMs: number) => store.allocate([ask("old")], clock.monotonic() - ageMs);
    await expect(asked(hour - 20)).rejects.toMatchObject({ detail: { failure: "timeout" } });
    for (let i = 0; i < 5; i++) await expect(asked(hour + 1)).rejects.toMatchObject({ detail: { failure: "late" } });
    expect(store.up).toBe(true);
    expect(failures).toEqual(["timeout", "late", "late", "late", "late", "late"]);
    server.thaw();
    expect((await asked(0))[0]?.granted).toBe(1);
  });

  it("is not needed at the start", async () => {
    await server.kill();
    const logger = recordingLogger();
    const store = open(server.port, { logger, retry: { firstMs: 5, maxMs: 20 } });
    await expect(store.allocate([ask("early")])).rejects.toMatchObject({ code: "LTN6501" });
    await server.resume();
    await eventually("Redis is asked", async () => (store.up ? true : undefined), 30_000, 5);
    // Once for each outage, however often it was tried.
    expect(logger.of("redis.away").length).toBeLessThanOrEqual(1);
  });
});

describe.skipIf(noRedis !== undefined)("a Redis with TLS and a password", () => {
  it("is asked with both, and not without", async () => {
    const ca = createTestCa("redis");
    const { certPem, keyPem } = ca.issue({ dns: ["redis.test"] });
    const folder = await mkdtemp(join(tmpdir(), "lateen-redis-tls-"));
    const file = async (name: string, text: string) => {
      await writeFile(join(folder, name), text, { mode: 0o600 });
      return join(folder, name);
    };
    const server = await RedisServer.start([
      ...["--port", "0", "--tls-port", "PORT", "--requirepass", "open sesame", "--tls-auth-clients", "no"],
      ...["--tls-cert-file", await file("cert.pem", certPem), "--tls-key-file", await file("key.pem", keyPem)],
      ...["--tls-ca-cert-file", await file("ca.pem", ca.rootPem)],
    ]);
    try {
      const address = parseRedisUrl(`rediss://127.0.0.1:${server.port}`);
      const tls = { caPem: ca.rootPem, serverName: "redis.test" };
      const password = () => new Secret("open sesame");
      const store = await connected(server.port, { address, tls, password });
      expect((await store.allocate([ask("tls")]))[0]?.granted).toBe(1);
      for (const wrong of [
        { address, tls },
        { address, tls, password: () => new Secret("open barley") },
        { address, password, tls: { ...tls, serverName: "other.test" } },
        { address, password, tls: { serverName: "redis.test" } },
      ]) {
        const logger = recordingLogger();
        const refused = open(server.port, { ...wrong, logger });
        await eventually("it is refused", async () => logger.of("redis.away")[0]);
        expect(refused.up).toBe(false);
        expect(JSON.stringify(logger.lines)).not.toMatch(/open sesame|open barley/);
      }
    } finally {
      await server.stop();
      await rm(folder, { recursive: true, force: true });
    }
  }, 60_000);
});
