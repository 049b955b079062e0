import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { apiObject, ask, gatewayOf, gatewayView, httpRoute, to } from "../testing/gateway-api.ts";
import type { RankedRule, RouteFragment } from "./fragments.ts";
import { comparePrecedence, orderedRules } from "./precedence.ts";

describe("of two routes that match, the one", () => {
  const view = (first: string, second: string) =>
    gatewayView(gatewayOf() + httpRoute("z", to("a", first)) + httpRoute("b", to("b", second)));

  it.each([
    ["with the exact path", "{ path: { type: Exact, value: /x/y } }", "{ path: { value: /x/y } }", "GET h.com/x/y"],
    ["with the longer prefix", "{ path: { value: /x/y } }", "{ path: { value: /x } }", "GET h.com/x/y"],
    [
      "with a prefix, not an expression",
      "{ path: { value: /x } }",
      "{ path: { type: RegularExpression, value: '/x/.*' } }",
      "GET h.com/x/y",
    ],
    [
      "with an expression, not every path",
      "{ path: { type: RegularExpression, value: '/x/.*' } }",
      "{ path: { value: / } }",
      "GET h.com/x/y",
    ],
    ["with the method", "{ method: GET }", "{ headers: [{ name: h, value: '1' }] }", "GET h.com/ h=1"],
    [
      "with more headers",
      "{ headers: [{ name: h, value: '1' }, { name: i, value: '1' }] }",
      "{ headers: [{ name: h, value: '1' }], queryParams: [{ name: q, value: '1' }] }",
      "GET h.com/?q=1 h=1 i=1",
    ],
    ["with more query parameters", "{ queryParams: [{ name: q, value: '1' }] }", "{}", "GET h.com/?q=1"],
    [
      "with the path, whatever else the other has",
      "{ path: { value: /xy } }",
      "{ path: { value: / }, method: GET, headers: [{ name: h, value: '1' }] }",
      "GET h.com/xy h=1",
    ],
  ])("%s", (_title, winner, loser, request) => {
    expect(ask(view(winner, loser), request)).toBe("→ a");
    const swapped = gatewayView(gatewayOf() + httpRoute("a", to("b", loser)) + httpRoute("z", to("a", winner)));
    expect(ask(swapped, request)).toBe("→ a");
  });

  it.each([
    ["that is older", { created: "2023-01-01T00:00:00Z" }, {}, "z", "b"],
    ["first by name, when equally old", {}, {}, "b", "z"],
  ])("%s", (_title, first, second, winner, loser) => {
    const view = gatewayView(
      gatewayOf() + httpRoute(loser, to("b"), "", second) + httpRoute(winner, to("a"), "", first),
    );
    expect(ask(view, "GET h.com/")).toBe("→ a");
  });

  it("first by namespace, before the name", () => {
    const open = "{ name: http, port: 80, protocol: HTTP, allowedRoutes: { namespaces: { from: All } } }";
    const local = (backend: string) =>
      `{ backendRefs: [{ group: networking.istio.io, kind: Hostname, name: ${backend}.default.svc.cluster.local, port: 80 }] }`;
    const view = gatewayView(
      gatewayOf(open) +
        httpRoute("a", local("b"), "", { namespace: "other" }) +
        httpRoute("z", local("a"), "", { namespace: "mine" }),
    );
    expect(ask(view, "GET h.com/")).toBe("→ a");
  });

  it("written first within one route", () => {
    expect(ask(gatewayView(gatewayOf() + httpRoute("r", `${to("a")}, ${to("b")}`)), "GET h.com/")).toBe("→ a");
  });

  it("with the closer hostname, whatever its path", () => {
    const view = gatewayView(
      gatewayOf() +
        httpRoute("wide", to("a", "{ path: { type: Exact, value: /x } }"), "hostnames: ['*.h.com'],") +
        httpRoute("close", to("b"), "hostnames: [x.h.com],"),
    );
    expect(ask(view, "GET x.h.com/x")).toBe("→ b");
    expect(ask(view, "GET y.h.com/x")).toBe("→ a");
  });
});

const precedence = fc.record({
  path: fc.constantFrom<0 | 1 | 2 | 3>(0, 1, 2, 3),
  pathLength: fc.nat(3),
  method: fc.boolean(),
  headers: fc.nat(2),
  queryParams: fc.nat(2),
});
const fragment = fc.record({
  created: fc.nat(2),
  namespace: fc.constantFrom("a", "b"),
  name: fc.constantFrom("x", "y"),
  rules: fc.array(precedence, { maxLength: 4 }),
});

function fragmentOf(
  source: Pick<RouteFragment["source"], "created" | "namespace" | "name">,
  rules: readonly RankedRule["precedence"][],
): RouteFragment {
  const parent = `HTTPRoute/${source.name}.${source.namespace}`;
  const http = rules.map((precedence, index) => ({ precedence, rule: {}, origin: `${parent} ${index}` }));
  return {
    group: "g",
    source: { ...source, parent },
    index: 0,
    semantics: "gateway",
    hosts: [],
    gateways: [],
    exportTo: [],
    http,
    tls: [],
    tcp: [],
  };
}

describe("whatever the routes", () => {
  it("the order does not depend on the order they came in, and never contradicts precedence", () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fragment, { selector: ({ namespace, name }) => `${namespace}/${name}`, maxLength: 4 }),
        fc.infiniteStream(fc.nat()),
        (sources, picks) => {
          const fragments = sources.map(({ rules, ...source }) => fragmentOf(source, rules));
          const shuffled = [...fragments];
          for (let at = shuffled.length - 1; at > 0; at--) {
            const other = (picks.next().value as number) % (at + 1);
            [shuffled[at], shuffled[other]] = [shuffled[other]!, shuffled[at]!];
          }
          const order = orderedRules(fragments);
          expect(orderedRules(shuffled)).toEqual(order);
          for (const [index, rule] of order.entries()) {
            for (const later of order.slice(index)) {
              expect(comparePrecedence(rule.precedence, later.precedence)).toBeLessThanOrEqual(0);
            }
          }
        },
      ),
      { numRuns: 100 },
    );
  });
});

it("a change of one route is merged into the hosts it is for, and no others", () => {
  const route = (name: string, backend: string) =>
    apiObject("HTTPRoute", name, `{ parentRefs: [{ name: gw }], hostnames: [${name}.com], rules: [${to(backend)}] }`);
  const view = gatewayView(gatewayOf() + route("one", "a") + route("two", "b"));
  expect(ask(view, "GET one.com/")).toBe("→ a");
  expect(ask(view, "GET two.com/")).toBe("→ b");
});
