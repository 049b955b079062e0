import { memoryQuotaStore } from "@lateen/adapter-local";
import { LateenError } from "@lateen/kernel";
import { parseExposition, type QuotaStore } from "@lateen/ports";
import { RateLimitRequest, RateLimitResponse } from "@lateen/proto/envoy/service/ratelimit/v3/rls";
import { manualClock, recordingLogger } from "@lateen/test-support";
import { describe, expect, it } from "vitest";
import { createRateLimiter, type RateLimiter, type RateLimiterOptions } from "../index.ts";

const OK = 1;
const OVER = 2;

function limiter(text: string, options: Partial<RateLimiterOptions> = {}) {
  const clock = manualClock();
  const logger = recordingLogger();
  const made = createRateLimiter({
    store: memoryQuotaStore({ clock }),
    failMode: "proxy",
    sources: ["files"],
    clock,
    logger,
    ...options,
  });
  made.configure("files", [{ name: "limits.yaml", text }]);
  return { limiter: made, clock, logger };
}

/** `a=1 b=2` is one descriptor with two entries. Over the wire and back, as the gRPC service hands it over. */
function asking(domain: string, descriptors: readonly string[], hitsAddend = 0): RateLimitRequest {
  const message = {
    domain,
    hitsAddend,
    descriptors: descriptors.map((text) => ({
      entries: text.split(" ").map((pair) => ({ key: pair.split("=")[0] ?? "", value: pair.split("=")[1] ?? "" })),
    })),
  };
  return RateLimitRequest.decode(RateLimitRequest.encode(RateLimitRequest.fromPartial(message)).finish());
}
async function ask(of: RateLimiter, descriptors: readonly string[], hits?: number) {
  const response = await of.decide(asking("shop", descriptors, hits));
  const read = RateLimitResponse.decode(RateLimitResponse.encode(response).finish());
  return { overall: read.overallCode, statuses: read.statuses };
}
/** How many of `count` equal requests pass. */
async function passing(of: RateLimiter, descriptor: string, count: number): Promise<number> {
  let passed = 0;
  for (let i = 0; i < count; i++) if ((await ask(of, [descriptor])).overall === OK) passed++;
  return passed;
}
const rule = (text: string) => `domain: shop\ndescriptors:\n${text}`;
const minute = (count: number, more = "") => `rate_limit: { unit: minute, requests_per_unit: ${count}${more} }`;

describe("which limit holds", () => {
  const text = rule(`
  - { key: ip, ${minute(3)} }
  - { key: ip, value: 10.0.0.9, ${minute(0)} }
  - { key: ip, value: 10.1.*, ${minute(2)} }
  - { key: ip, value: 10.1.2.*, ${minute(1)} }
  - { key: office, value: "10.*", share_threshold: true, ${minute(4)} }
  - key: service
    value: auth
    descriptors: [{ key: user, ${minute(2)} }]
  - key: service
    descriptors: [{ key: user, ${minute(5)} }]
`);
  it.each([
    ["each value by itself", "ip=1.1.1.1", 3],
    ["a value of its own before that", "ip=10.0.0.9", 0],
    ["the beginning of a value", "ip=10.1.0.1", 2],
    ["the longest beginning", "ip=10.1.2.3", 1],
    ["the second level", "service=auth user=ann", 2],
    ["the second level below any value", "service=cart user=ann", 5],
    ["nothing for what is shorter than its rule", "service=auth", 9],
    ["nothing for what is longer than its rule", "ip=1.1.1.1 user=ann", 9],
    ["nothing for what has no rule", "other=x", 9],
    ["nothing where the second level does not fit", "service=auth role=x", 9],
  ])("%s", async (_title, descriptor, expected) => {
    const { limiter: of } = limiter(text);
    expect(await passing(of, descriptor, 9)).toBe(expected);
  });

  it("counts values apart, or together where the rule says so", async () => {
    const { limiter: of } = limiter(text);
    expect(await passing(of, "ip=1.1.1.1", 9)).toBe(3);
    expect(await passing(of, "ip=1.1.1.2", 9)).toBe(3);
    expect(await passing(of, "office=10.1", 3)).toBe(3);
    expect(await passing(of, "office=10.2", 3)).toBe(1);
  });

  it("knows long values apart without keeping them", async () => {
    const seen: string[] = [];
    const clock = manualClock();
    const memory = memoryQuotaStore({ clock });
    const store: QuotaStore = {
      allocate: (requests) => {
        seen.push(...requests.map(({ key }) => key));
        return memory.allocate(requests);
      },
    };
    const { limiter: of } = limiter(text, { store });
    const long = "x".repeat(50_000);
    expect(await passing(of, `ip=${long}1`, 5)).toBe(3);
    expect(await passing(of, `ip=${long}2`, 5)).toBe(3);
    expect(Math.max(...seen.map(({ length }) => length))).toBeLessThanOrEqual(200);
  });

  it("lets a domain without limits pass", async () => {
    const { limiter: of } = limiter(text);
    expect((await of.decide(asking("other", ["ip=1"]))).overallCode).toBe(OK);
  });
});

describe("what is answered", () => {
  it("tells the limit, what is left of it, and when that changes", async () => {
    const { limiter: of, clock } = limiter(rule(`  - { key: a, ${minute(3, ", name: three")} }\n`));
    clock.advance(20_500);
    const { overall, statuses } = await ask(of, ["a=1", "b=1"]);
    expect([overall, statuses.length]).toEqual([OK, 2]);
    expect(statuses[0]).toMatchObject({
      code: OK,
      currentLimit: { name: "three", requestsPerUnit: 3, unit: 2 },
      limitRemaining: 2,
      durationUntilReset: { seconds: 40n, nanos: 0 },
    });
    expect(statuses[1]).toMatchObject({ code: OK, currentLimit: undefined, durationUntilReset: undefined });
    await ask(of, ["a=1"]);
    await ask(of, ["a=1"]);
    const over = await ask(of, ["a=1"]);
    expect([over.overall, over.statuses[0]?.code, over.statuses[0]?.limitRemaining]).toEqual([OVER, OVER, 0]);
    clock.advance(39_500);
    expect((await ask(of, ["a=1"])).overall).toBe(OK);
  });

  it("is over when one descriptor is; the others count all the same", async () => {
    const { limiter: of } = limiter(rule(`  - { key: a, ${minute(1)} }\n  - { key: b, ${minute(9)} }\n`));
    await ask(of, ["a=1", "b=1"]);
    const { overall, statuses } = await ask(of, ["a=1", "b=1"]);
    expect([overall, ...statuses.map(({ code }) => code), statuses[1]?.limitRemaining]).toEqual([OVER, OVER, OK, 7]);
  });

  it("counts as many hits as the request says; what does not fit costs nothing", async () => {
    const { limiter: of } = limiter(rule(`  - { key: a, ${minute(10)} }\n`));
    expect((await ask(of, ["a=1"], 8)).statuses[0]?.limitRemaining).toBe(2);
    expect((await ask(of, ["a=1"], 3)).overall).toBe(OVER);
    expect((await ask(of, ["a=1"], 2)).overall).toBe(OK);
  });

  it("never refuses in shadow mode, and counts", async () => {
    const { limiter: of } = limiter(rule(`  - { key: a, shadow_mode: true, ${minute(1)} }\n`));
    expect(await passing(of, "a=1", 5)).toBe(5);
    expect(sample(of, "mixer_ratelimit_over_limit_total")).toEqual([[{ domain: "shop", descriptor: "a" }, 4]]);
    expect(sample(of, "mixer_ratelimit_shadow_mode_total")).toEqual([[{ domain: "shop", descriptor: "a" }, 4]]);
  });

  it("asks nobody about what is unlimited", async () => {
    const store: QuotaStore = { allocate: () => Promise.reject(new Error("asked")) };
    const { limiter: of } = limiter(rule("  - { key: a, rate_limit: { unlimited: true } }\n"), { store });
    expect((await ask(of, ["a=1"])).statuses[0]).toMatchObject({ code: OK, limitRemaining: 0xffff_ffff });
  });

  it("leaves out a limit that another replaces, and does not count it", async () => {
    const { limiter: of } = limiter(
      rule(`
  - { key: all, ${minute(2, ", name: general")} }
  - { key: vip, ${minute(4, ", replaces: [{ name: general }]")} }
`),
    );
    for (let i = 0; i < 4; i++) expect((await ask(of, ["all=1", "vip=1"])).overall).toBe(OK);
    expect((await ask(of, ["all=1", "vip=1"])).overall).toBe(OVER);
    expect(await passing(of, "all=1", 5)).toBe(2);
  });

  it("takes a limit that the request brings", async () => {
    const { limiter: of } = limiter(rule(`  - { key: a, ${minute(9)} }\n`));
    const request = asking("shop", ["a=1"]);
    const [descriptor] = request.descriptors;
    const own = { ...request, descriptors: [{ ...descriptor!, limit: { requestsPerUnit: 1, unit: 3 as const } }] };
    expect((await of.decide(own)).statuses[0]).toMatchObject({
      code: OK,
      currentLimit: { requestsPerUnit: 1, unit: 3 },
    });
    expect((await of.decide(own)).overallCode).toBe(OVER);
  });

  it("rolls where the limit says so", async () => {
    const { limiter: of, clock } = limiter(rule(`  - { key: a, ${minute(2, ", algorithm: ROLLING_WINDOW")} }\n`));
    clock.advance(59_000);
    expect(await passing(of, "a=1", 3)).toBe(2);
    clock.advance(2_000);
    expect(await passing(of, "a=1", 3)).toBe(0);
    clock.advance(58_999);
    expect(await passing(of, "a=1", 3)).toBe(0);
    clock.advance(1);
    expect(await passing(of, "a=1", 3)).toBe(2);
  });

  it.each([
    ["no domain", asking("", ["a=1"])],
    ["no descriptors", asking("shop", [])],
    ["an empty descriptor", { ...asking("shop", ["a=1"]), descriptors: [{ entries: [] }] }],
    [
      "too many descriptors",
      asking(
        "shop",
        Array.from({ length: 300 }, () => "a=1"),
      ),
    ],
  ])("refuses a request with %s", async (_title, request) => {
    const { limiter: of } = limiter(rule(`  - { key: a, ${minute(9)} }\n`));
    await expect(of.decide(request)).rejects.toMatchObject({ code: "LTN8101", fault: "peer" });
  });
});

describe("without the store", () => {
  const store: QuotaStore = {
    allocate: () =>
      Promise.reject(new LateenError({ code: "LTN6501", fault: "system", message: "away", retryable: true })),
  };
  const text = rule(`  - { key: a, ${minute(1)} }\n  - { key: s, shadow_mode: true, ${minute(1)} }\n`);

  it.each([
    ["open", [OK, OK, OK]],
    ["closed", [OVER, OK, OK]],
  ] as const)("%s", async (failMode, [limited, shadow, other]) => {
    const { limiter: of } = limiter(text, { store, failMode });
    expect((await ask(of, ["a=1"])).overall).toBe(limited);
    expect((await ask(of, ["s=1"])).overall).toBe(shadow);
    expect((await ask(of, ["x=1"])).overall).toBe(other);
    expect(sample(of, "mixer_ratelimit_undecided_total")).toEqual([[{ mode: failMode }, 2]]);
  });

  it("proxy: an error, so that the proxy decides", async () => {
    const { limiter: of } = limiter(text, { store, failMode: "proxy" });
    await expect(ask(of, ["a=1"])).rejects.toMatchObject({ code: "LTN6501" });
    expect((await ask(of, ["x=1"])).overall).toBe(OK);
    expect(sample(of, "mixer_ratelimit_requests_total")).toEqual([
      [{ answer: "error" }, 1],
      [{ answer: "ok" }, 1],
    ]);
  });
});

describe("configuration", () => {
  const one = rule(`  - { key: a, ${minute(1)} }\n`);

  it("decides nothing before every source has been read", async () => {
    const of = createRateLimiter({
      store: memoryQuotaStore({ clock: manualClock() }),
      failMode: "open",
      sources: ["files", "galley"],
      clock: manualClock(),
      logger: recordingLogger(),
    });
    await expect(ask(of, ["a=1"])).rejects.toMatchObject({ code: "LTN8102", retryable: true });
    of.configure("files", []);
    await expect(ask(of, ["a=1"])).rejects.toMatchObject({ detail: { sources: ["galley"] } });
    of.configure("galley", []);
    expect((await ask(of, ["a=1"])).overall).toBe(OK);
  });

  it("changes while it runs, and keeps what was good when the next is not", async () => {
    const { limiter: of, logger } = limiter(one);
    expect(await passing(of, "a=1", 4)).toBe(1);
    of.configure("files", [{ name: "limits.yaml", text: rule(`  - { key: a, ${minute(3)} }\n`) }]);
    expect(await passing(of, "a=1", 4)).toBe(2);
    of.configure("files", [{ name: "limits.yaml", text: rule("  - { key: a, rate_limit: { unit: weekly } }\n") }]);
    expect(await passing(of, "a=1", 4)).toBe(0);
    expect(logger.of("limits.rejected")).toEqual([
      expect.objectContaining({
        document: "limits.yaml",
        lastGoodServes: true,
        reason: expect.stringMatching(/^limits\.yaml:3:\d+: .*"weekly" is not one of second/),
      }),
    ]);
    expect(sample(of, "mixer_ratelimit_rejected_documents")).toEqual([[{}, 1]]);
    of.configure("files", [{ name: "limits.yaml", text: undefined }]);
    expect(await passing(of, "a=1", 4)).toBe(4);
    expect(sample(of, "mixer_ratelimit_rejected_documents")).toEqual([[{}, 0]]);
  });

  it("gives a domain to one document, and to the next when that is gone", async () => {
    const { limiter: of, logger } = limiter(one);
    of.configure("files", [{ name: "second.yaml", text: rule(`  - { key: a, ${minute(0)} }\n`) }]);
    expect(logger.of("limits.rejected")[0]?.reason).toContain("in limits.yaml already");
    expect(await passing(of, "a=1", 4)).toBe(1);
    of.configure("files", [{ name: "limits.yaml", text: undefined }]);
    expect(await passing(of, "a=2", 4)).toBe(0);
    expect(sample(of, "mixer_ratelimit_rejected_documents")).toEqual([[{}, 0]]);
  });
});

describe("the time of an answer", () => {
  it("runs from when the request came in, for the store and for its metric", async () => {
    const asked: (number | undefined)[] = [];
    const clock = manualClock();
    const store: QuotaStore = {
      allocate: async (requests, sinceMs) => {
        asked.push(sinceMs);
        clock.advance(6);
        if (asked.length > 1) throw new Error("away");
        return memoryQuotaStore({ clock }).allocate(requests);
      },
    };
    const { limiter: of } = limiter(rule(`  - { key: a, ${minute(9)} }\n`), { store, clock, failMode: "open" });
    const since = clock.monotonic();
    clock.advance(5);
    await of.decide(asking("shop", ["a=1"]), since);
    await of.decide(asking("shop", ["a=1"]));
    await of.decide(asking("shop", ["free=1"]));
    expect(asked).toEqual([since, since + 11]);
    expect(sample(of, "mixer_ratelimit_decision_seconds_sum")).toEqual([
      [{ by: "store" }, 0.011],
      [{ by: "mode" }, 0.006],
      [{ by: "rules" }, 0],
    ]);
  });
});

describe("metrics", () => {
  it("tell hits within, near and over each limit, and how the store does", async () => {
    const { limiter: of } = limiter(
      rule(`  - { key: a, value: x, ${minute(10)} }\n  - { key: b, detailed_metric: true, ${minute(1)} }\n`),
    );
    for (let i = 0; i < 12; i++) await ask(of, ["a=x"]);
    await ask(of, ["b=secret"]);
    const labels = { domain: "shop", descriptor: "a_x" };
    expect(sample(of, "mixer_ratelimit_hits_total")).toEqual([
      [labels, 12],
      [{ ...labels, descriptor: "b_secret" }, 1],
    ]);
    expect(sample(of, "mixer_ratelimit_within_limit_total")[0]).toEqual([labels, 10]);
    expect(sample(of, "mixer_ratelimit_near_limit_total")[0]).toEqual([labels, 2]);
    expect(sample(of, "mixer_ratelimit_over_limit_total")).toEqual([[labels, 2]]);
    of.observer.onState(false);
    of.observer.onFailure("timeout");
    expect(sample(of, "mixer_ratelimit_store_up")).toEqual([[{}, 0]]);
    expect(sample(of, "mixer_ratelimit_store_errors_total")).toEqual([[{ reason: "timeout" }, 1]]);
  });
});

function sample(of: RateLimiter, name: string) {
  return parseExposition(of.metrics())
    .filter((one) => one.name === name)
    .map(({ labels, value }) => [labels, value]);
}
