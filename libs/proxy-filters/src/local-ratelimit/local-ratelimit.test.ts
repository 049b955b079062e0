import { LocalRateLimit } from "@lateen/proto/envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit";
import type { RouteMatch } from "@lateen/traffic";
import { describe, expect, it } from "vitest";
import { FakeExchange, fakeContext } from "../testing/fake-exchange.ts";
import { LOCAL_RATE_LIMIT } from "./config.ts";
import { decodeLocalRateLimit } from "./decode.ts";
import { localRateLimitRuntime } from "./local-ratelimit.ts";

type Message = NonNullable<Parameters<typeof LocalRateLimit.fromPartial>[0]>;
const decode = (message: Message) =>
  decodeLocalRateLimit(LocalRateLimit.encode(LocalRateLimit.fromPartial(message)).finish());
const share = (numerator: number): NonNullable<Message["filterEnabled"]> => ({
  defaultValue: { numerator, denominator: 0 },
});
const bucket = (maxTokens: number, ms = 1000, tokensPerFill?: number): NonNullable<Message["tokenBucket"]> => ({
  maxTokens,
  tokensPerFill,
  fillInterval: { seconds: 0n, nanos: ms * 1_000_000 },
});
const BASE: Message = {
  statPrefix: "p",
  tokenBucket: bucket(2),
  filterEnabled: share(100),
  filterEnforced: share(100),
};

function start(message: Message = BASE, random = () => 0.5) {
  const fake = fakeContext("inbound", random, LOCAL_RATE_LIMIT);
  const filter = localRateLimitRuntime.create(decode(message), fake.context);
  const ask = (facts: Partial<Pick<FakeExchange, "connection" | "route">> = {}, config?: unknown) => {
    const exchange = new FakeExchange({ headers: [["x-user", "ann"]] });
    Object.assign(exchange, facts);
    if (config !== undefined) exchange.configs[LOCAL_RATE_LIMIT] = config;
    const verdict = filter.onRequestHead?.(exchange);
    filter.onResponseHead?.(exchange);
    return { verdict, exchange };
  };
  return { ...fake, ask };
}

/** A route of the only virtual host, counted by what `x-user` says. */
const counted = (own: boolean, host = false): RouteMatch => {
  const actions = [{ kind: "requestHeader", header: "x-user", key: "user", skipIfAbsent: false }];
  const route = { action: { kind: "forward", rateLimits: own ? [{ stage: 0, actions }] : undefined }, spec: {} };
  const rateLimits = host ? [{ stage: 0, actions: [{ kind: "genericKey", key: "host", value: "h" }] }] : undefined;
  return {
    route,
    virtualHost: { spec: { name: "v", domains: ["*"], filterConfig: {}, rateLimits }, routes: [route] },
  } as never;
};
const forUser = (value: string, tokens = 1): NonNullable<Message["descriptors"]>[number] => ({
  entries: [{ key: "user", value }],
  tokenBucket: bucket(tokens),
});

describe("local rate limit", () => {
  it("lets through what the bucket holds and refuses the rest as Envoy does", () => {
    const { ask, stats } = start();
    expect([ask().verdict, ask().verdict]).toEqual(["continue", "continue"]);
    const { verdict, exchange } = ask();
    expect(verdict).toBe("replied");
    expect(exchange.replies).toEqual([
      { status: 429, grpcStatus: 14, body: "local_rate_limited", flag: "RL", details: "local_rate_limited" },
    ]);
    const total = (name: string) => stats.total(`envoy_http_local_rate_limit_${name}`);
    expect(["enabled", "ok", "rate_limited", "enforced"].map(total)).toEqual([3, 2, 1, 1]);
  });

  it("fills evenly, up to what it holds", () => {
    const { ask, time } = start({ ...BASE, tokenBucket: bucket(2, 1000, 2) });
    const passes = () =>
      Array.from({ length: 5 }, () => ask().verdict).filter((verdict) => verdict === "continue").length;
    expect(passes()).toBe(2);
    time.ms += 499;
    expect(passes()).toBe(0);
    time.ms += 1;
    expect(passes()).toBe(1);
    time.ms += 60_000;
    expect(passes()).toBe(2);
    time.ms -= 3_600_000;
    expect(passes()).toBe(0);
    time.ms += 1000;
    expect(passes()).toBeGreaterThan(0);
  });

  it.each([
    ["nothing is counted unless enabled", { filterEnabled: undefined }, ["continue", "continue", "continue"]],
    ["what is not enforced goes on", { filterEnforced: undefined }, ["continue", "continue", "continue"]],
    ["half of the requests", { filterEnabled: share(50) }, ["continue", "continue", "continue"]],
    ["a little more", { filterEnabled: share(51) }, ["continue", "continue", "replied"]],
  ])("%s", (_title, change, expected) => {
    const { ask } = start({ ...BASE, ...change });
    expect([ask(), ask(), ask()].map(({ verdict }) => verdict)).toEqual(expected);
  });

  it("marks what it would refuse, and its refusals", () => {
    const header = (key: string) => ({ header: { key, value: "true" }, appendAction: 2 as const });
    const added = {
      requestHeadersToAddWhenNotEnforced: [header("x-over")],
      responseHeadersToAdd: [header("x-limited")],
    };
    const lenient = start({ ...BASE, tokenBucket: bucket(1), filterEnforced: share(0), ...added });
    lenient.ask();
    expect(lenient.ask().exchange.requestEdits.log).toEqual(["set x-over=true"]);
    const strict = start({ ...BASE, tokenBucket: bucket(1), ...added });
    expect(strict.ask().exchange.responseEdits.log).toEqual([]);
    expect(strict.ask().exchange.responseEdits.log).toEqual(["set x-limited=true"]);
  });

  it("tells what is left", () => {
    const { ask } = start({ ...BASE, enableXRatelimitHeaders: 1 });
    const expected = (left: number) => [
      "set x-ratelimit-limit=2",
      `set x-ratelimit-remaining=${left}`,
      "set x-ratelimit-reset=1",
    ];
    expect(ask().exchange.responseEdits.log).toEqual(expected(1));
    ask();
    expect(ask().exchange.responseEdits.log).toEqual(expected(0));
  });

  it("counts each connection for itself", () => {
    const { ask } = start({ ...BASE, tokenBucket: bucket(1), localRateLimitPerDownstreamConnection: true });
    const [a, b] = [{}, {}];
    const on = (connection: object) => ask({ connection }).verdict;
    expect([on(a), on(b), on(a), on(b)]).toEqual(["continue", "continue", "replied", "replied"]);
  });

  describe("descriptors", () => {
    const limited = { ...BASE, tokenBucket: bucket(100), descriptors: [forUser("ann"), forUser("bob", 5)] };
    it("count what a route says", () => {
      const { ask } = start(limited);
      const routed = () => ask({ route: counted(true) }).verdict;
      expect([routed(), routed(), ask().verdict]).toEqual(["continue", "replied", "continue"]);
    });

    it.each([
      ["override", 0, 0],
      ["include", 1, 1],
      ["ignore", 2, 0],
    ])("of the virtual host: %s", (_name, vhRateLimits, applied) => {
      const host = { entries: [{ key: "host", value: "h" }], tokenBucket: bucket(1) };
      const message = {
        ...BASE,
        tokenBucket: bucket(100),
        descriptors: [forUser("ann", 50), host],
        vhRateLimits: vhRateLimits as 0,
      };
      const { ask } = start(message);
      const both = () => ask({ route: counted(true, true) }).verdict;
      expect([both(), both()]).toEqual(["continue", applied === 1 ? "replied" : "continue"]);
      const alone = start(message);
      const hostOnly = () => alone.ask({ route: counted(false, true) }).verdict;
      expect([hostOnly(), hostOnly()]).toEqual(["continue", vhRateLimits === 2 ? "continue" : "replied"]);
    });

    it("count against the general bucket as well, unless told otherwise", () => {
      const message = { ...BASE, tokenBucket: bucket(1), descriptors: [forUser("ann", 50)] };
      const routed = (started: ReturnType<typeof start>) => started.ask({ route: counted(true) }).verdict;
      const both = start(message);
      expect([routed(both), routed(both)]).toEqual(["continue", "replied"]);
      const alone = start({ ...message, alwaysConsumeDefaultTokenBucket: false });
      expect([routed(alone), routed(alone)]).toEqual(["continue", "continue"]);
    });
  });

  it("routes have limits of their own, even when they read the same", () => {
    const { ask } = start({ statPrefix: "p" });
    const [one, two] = [counted(false), counted(false)];
    const [configOne, configTwo] = [
      decode({ ...BASE, tokenBucket: bucket(1) }),
      decode({ ...BASE, tokenBucket: bucket(1) }),
    ];
    (two.virtualHost.spec as { name: string }).name = "w";
    const at = (route: RouteMatch, config: unknown) => ask({ route }, config).verdict;
    expect([at(one, configOne), at(one, configOne), at(two, configTwo)]).toEqual(["continue", "replied", "continue"]);
    expect(ask().verdict).toBe("continue");
  });

  it("replaced chains go on with the same bucket", () => {
    const { context, ask } = start();
    ask();
    ask();
    const again = localRateLimitRuntime.create(decode(BASE), context);
    expect(again.onRequestHead?.(new FakeExchange())).toBe("replied");
  });

  it.each<[string, Message, string]>([
    ["no prefix", { ...BASE, statPrefix: "" }, "stat_prefix: required"],
    ["no bucket", { ...BASE, tokenBucket: undefined }, "token_bucket: required"],
    ["no tokens", { ...BASE, tokenBucket: bucket(0) }, "token_bucket.max_tokens"],
    [
      "fills that are too quick",
      { ...BASE, tokenBucket: bucket(1, 49) },
      "token_bucket.fill_interval: must be at least 50ms",
    ],
    [
      "beats that do not fit",
      { ...BASE, descriptors: [{ entries: [], tokenBucket: bucket(1, 1500) }] },
      "descriptors[0]",
    ],
    ["a limit of the cluster", { ...BASE, localClusterRateLimit: {} }, "local_cluster_rate_limit: not supported"],
  ])("refuses %s", (_title, message, expected) => {
    expect(() => decode(message)).toThrow(expected);
  });
});
