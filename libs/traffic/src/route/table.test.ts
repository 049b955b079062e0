import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { headFrom } from "../head/build.ts";
import { forward, prefix, route, table, virtualHost, weighted } from "../testing/specs.ts";
import type { RouteSpec } from "./spec.ts";
import { compileRouteTable } from "./table.ts";

const always = () => 0;
const pick = (routes: readonly RouteSpec[], path: string, random = always) =>
  compileRouteTable(table([virtualHost(["*"], routes)])).match(headFrom({ path }), random)?.route.spec.name;
const exact = (value: string, ignoreCase = false) => ({ kind: "exact", value, ignoreCase }) as const;
const separated = (value: string) => ({ kind: "pathSeparatedPrefix", value, ignoreCase: false }) as const;
const regex = (pattern: string) => ({ kind: "regex", pattern }) as const;

describe("path", () => {
  it.each<[string, RouteSpec["match"]["path"], string, boolean]>([
    ["prefix", prefix("/a"), "/ab", true],
    ["prefix", prefix("/a"), "/A", false],
    ["prefix ignoring case", prefix("/a", true), "/AB", true],
    ["prefix never reads the query", prefix("/a?b"), "/a?b", false],
    ["exact", exact("/a"), "/a?x=/b", true],
    ["exact", exact("/a"), "/a/", false],
    ["exact ignoring case", exact("/A", true), "/a", true],
    ["segments", separated("/a"), "/a", true],
    ["segments", separated("/a"), "/a/b", true],
    ["segments", separated("/a"), "/ab", false],
    ["segments", separated("/a"), "/a?b", true],
    ["expression", regex("/[ab]"), "/b?q", true],
    ["expression, whole path", regex("/[ab]"), "/bb", false],
  ])("%s %j on %s: %s", (_, path, target, expected) => {
    expect(pick([route("r", { path })], target)).toBe(expected ? "r" : undefined);
  });

  it("takes the first route that matches, whatever its kind", () => {
    const routes = [
      route("regex", { path: regex("/x/\\d+") }),
      route("exact", { path: exact("/x/1") }),
      route("long", { path: prefix("/x/y") }),
      route("short", { path: prefix("/x") }),
      route("late", { path: exact("/x/y") }),
      route("rest", { path: prefix("/") }),
    ];
    expect(["/x/1", "/x/y", "/x/yy", "/x", "/"].map((path) => pick(routes, path))).toEqual([
      "regex",
      "long",
      "long",
      "short",
      "rest",
    ]);
  });

  it("agrees with trying every route in turn", () => {
    const text = fc.string({ unit: fc.constantFrom("a", "A", "/"), maxLength: 4 }).map((rest) => `/${rest}`);
    const path = fc.oneof(
      fc.record({
        kind: fc.constantFrom("prefix", "exact", "pathSeparatedPrefix"),
        value: text,
        ignoreCase: fc.boolean(),
      }),
      text.map((value) => regex(`${value}.?`)),
    ) as fc.Arbitrary<RouteSpec["match"]["path"]>;
    fc.assert(
      fc.property(fc.array(path, { maxLength: 8 }), text, (paths, target) => {
        const expected = paths.findIndex((candidate) => slowMatch(candidate, target));
        const found = pick(
          paths.map((candidate, i) => route(String(i), { path: candidate })),
          `${target}?a/`,
        );
        expect(found).toBe(expected < 0 ? undefined : String(expected));
      }),
    );
  });
});

function slowMatch(path: RouteSpec["match"]["path"], target: string): boolean {
  if (path.kind === "regex") return new RegExp(`^(?:${path.pattern})$`).test(target);
  const fold = (text: string) => (path.ignoreCase ? text.toLowerCase() : text);
  const [value, actual] = [fold(path.value), fold(target)];
  switch (path.kind) {
    case "exact":
      return value === actual;
    case "prefix":
      return actual.startsWith(value);
    case "pathSeparatedPrefix":
      return actual === value || (actual.startsWith(value) && actual[value.length] === "/");
  }
}

describe("conditions", () => {
  it("holds all headers and queries of a route, else goes on to the next", () => {
    const jason = {
      name: "end-user",
      match: { kind: "exact", value: "jason", ignoreCase: false },
      invert: false,
      treatMissingAsEmpty: false,
    } as const;
    const beta = { name: "beta", match: { kind: "present" } } as const;
    const compiled = compileRouteTable(
      table([virtualHost(["*"], [route("v2", { headers: [jason], query: [beta] }), route("v1")])]),
    );
    const name = (path: string, user: string) =>
      compiled.match(headFrom({ path, headers: [["end-user", user]] }), always)?.route.spec.name;
    expect([name("/?beta", "jason"), name("/", "jason"), name("/?beta", "x")]).toEqual(["v2", "v1", "v1"]);
  });

  it("takes its share of requests and leaves the rest to the next", () => {
    const routes = [route("some", { fraction: 0.25 }), route("rest")];
    expect([0, 0.24, 0.25, 0.9].map((random) => pick(routes, "/", () => random))).toEqual([
      "some",
      "some",
      "rest",
      "rest",
    ]);
  });
});

describe("virtual hosts", () => {
  const compiled = compileRouteTable(
    table([virtualHost(["a", "*.b"], [route("ab")]), virtualHost(["*"], [route("any", { path: exact("/") })])], {
      ignorePortInHostMatching: true,
    }),
  );
  const name = (authority: string, path = "/") =>
    compiled.match(headFrom({ authority, path }), always)?.route.spec.name;

  it("is chosen by authority, without its port when told so", () => {
    expect([name("a"), name("A:80"), name("x.b:1"), name("c")]).toEqual(["ab", "ab", "ab", "any"]);
  });

  it("is no way round for a request that it does not route", () => {
    expect(name("c", "/x")).toBeUndefined();
    expect(compiled.virtualHost(headFrom({ authority: "c" }))?.spec.domains).toEqual(["*"]);
  });

  it("sends plain requests to https when it requires TLS", () => {
    const secure = compileRouteTable(table([virtualHost(["*"], [route("r")], { requireTls: true })]));
    expect(secure.match(headFrom({}), always, "http")?.route.action).toMatchObject({
      kind: "redirect",
      status: 301,
      scheme: "https",
    });
    expect(secure.match(headFrom({}), always, "https")?.route.spec.name).toBe("r");
  });
});

describe("clusters", () => {
  const weights = (...list: number[]) =>
    compileRouteTable(
      table([
        virtualHost(
          ["*"],
          [route("r", {}, { action: forward("x", { clusters: list.map((w, i) => weighted(String(i), w)) }) })],
        ),
      ]),
    ).match(headFrom({}), always)?.route;

  it("are picked by weight", () => {
    const route75 = weights(75, 25);
    const counts: Record<string, number> = {};
    for (let i = 0; i < 1000; i++) {
      const { cluster } = route75?.pickCluster(() => i / 1000) ?? { cluster: "" };
      counts[cluster] = (counts[cluster] ?? 0) + 1;
    }
    expect(counts).toEqual({ 0: 750, 1: 250 });
  });

  it("never get a request with weight zero beside others", () => {
    const only = weights(0, 100, 0);
    for (const random of [0, 0.5, 0.999999]) expect(only?.pickCluster(() => random).cluster).toBe("1");
  });
});

describe("filter configuration", () => {
  it("is the route's before its virtual host's", () => {
    const compiled = compileRouteTable(
      table([
        virtualHost(["*"], [route("r", {}, { filterConfig: { a: "route" } })], {
          filterConfig: { a: "host", b: "host" },
        }),
      ]),
    );
    const match = compiled.match(headFrom({}), always);
    expect(["a", "b", "c"].map((name) => match?.route.filterConfig(name))).toEqual(["route", "host", undefined]);
  });
});

describe("header edits", () => {
  it("apply level by level: cluster, route, virtual host, table; in each removals first", () => {
    const edits = (level: string) => ({
      set: [{ name: "X-Set", value: level }],
      append: [{ name: "x-add", value: `${level}-%REQ(A)%` }],
      remove: ["x-set"],
    });
    const action = forward("c", { clusters: [{ ...weighted("c", 1), requestHeaders: edits("cluster") }] });
    const compiled = compileRouteTable(
      table(
        [
          virtualHost(["*"], [route("r", {}, { action, requestHeaders: edits("route") })], {
            requestHeaders: edits("host"),
          }),
        ],
        {
          requestHeaders: edits("table"),
        },
      ),
    );
    const log: string[] = [];
    compiled
      .match(headFrom({}), always)
      ?.route.pickCluster(always)
      .requestEdits.apply(
        {
          set: (name, value) => log.push(`${name}=${value}`),
          append: (name, value) => log.push(`${name}+${value}`),
          remove: (name) => log.push(`-${name}`),
        },
        (operator) => `${operator.name}:${operator.argument}`,
      );
    expect(log).toEqual(
      ["cluster", "route", "host", "table"].flatMap((level) => ["-x-set", `x-set=${level}`, `x-add+${level}-REQ:A`]),
    );
  });
});
