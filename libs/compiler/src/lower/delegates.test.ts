import { describe, expect, it } from "vitest";
import { compilerFor, objectsFrom, service, viewOf } from "../testing/mesh.ts";
import { simulate } from "../testing/simulate.ts";

const MESH = [
  service("web", "10.0.0.1", ["http:80"]),
  service("a", "10.0.0.2", ["http:80"], { namespace: "team" }),
  service("b", "10.0.0.3", ["http:80"]),
].join("");

const virtualService = (name: string, namespace: string, spec: string) => `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ${name}, namespace: ${namespace} }
spec: ${spec}
---`;
const ROOT = virtualService(
  "root",
  "default",
  `{ hosts: [web], http: [
    { name: shop, match: [{ uri: { prefix: /shop } }], delegate: { name: shop, namespace: team }, timeout: 3s, headers: { request: { set: { x-root: "1" } } } },
    { route: [{ destination: { host: b } }] }] }`,
);
const delegate = (spec: string) => virtualService("shop", "team", spec);
const A = "→ outbound|80||a.team.svc.cluster.local";
const B = "→ outbound|80||b.default.svc.cluster.local";

const ask = (yaml: string, path: string) => simulate(viewOf(MESH + yaml).route("80"), { host: "web", path });
const TO_A = "route: [{ destination: { host: a } }]";

describe("a rule that delegates", () => {
  it.each([
    ["is replaced by the delegate's, in its own namespace", `{ http: [{ ${TO_A} }] }`, "/shop/1", A],
    ["keeps its own condition", `{ http: [{ ${TO_A} }] }`, "/other", B],
    ["is narrowed by the delegate", `{ http: [{ match: [{ uri: { prefix: /shop/a } }], ${TO_A} }] }`, "/shop/a/1", A],
    ["leaves the rest to later rules", `{ http: [{ match: [{ uri: { prefix: /shop/a } }], ${TO_A} }] }`, "/shop/b", B],
    ["does not reach where the root does not", `{ http: [{ match: [{ uri: { prefix: /x } }], ${TO_A} }] }`, "/x", B],
    ["ignores delegates that name hosts", `{ hosts: [other], http: [{ ${TO_A} }] }`, "/shop/1", B],
    ["ignores delegates that are not exported", `{ exportTo: [.], http: [{ ${TO_A} }] }`, "/shop/1", B],
  ])("%s", (_title, spec, path, expected) => {
    expect(ask(ROOT + delegate(spec), path)).toBe(expected);
  });

  it("without its delegate has no routes", () => {
    expect(ask(ROOT, "/shop/1")).toBe(B);
    const [warning] = compilerFor(objectsFrom(MESH + ROOT)).warnings();
    expect(warning).toMatchObject({ code: "LTN3104", path: "spec.http[0].delegate" });
  });

  it("lends its settings, unless the delegate has its own", () => {
    const routes = viewOf(
      MESH +
        ROOT +
        delegate(`{ http: [{ name: a, match: [{ uri: { exact: /shop/a } }], ${TO_A} }, { timeout: 9s, ${TO_A} }] }`),
    ).virtualHost("80", "web").routes;
    const facts = routes
      .slice(0, 2)
      .map((route) => [
        route.name,
        route.action?.$case === "route" ? Number(route.action.value.timeout?.seconds) : undefined,
        route.requestHeadersToAdd.map((entry) => entry.header?.key),
        route.metadata?.filterMetadata.lateen?.origin,
      ]);
    expect(facts).toEqual([
      ["shop-a", 3, ["x-root"], "VirtualService team/shop http[0]"],
      ["shop", 9, ["x-root"], "VirtualService team/shop http[1]"],
    ]);
  });

  it.each([
    ["the same header", "headers: { x: { exact: a } }", "headers: { x: { exact: a } }"],
    ["the method", "method: { exact: GET }", "method: { exact: PUT }"],
    ["an exact path", "uri: { exact: /a }", "uri: { exact: /a }"],
    ["the port", "port: 80", "port: 81"],
    ["source labels", "sourceLabels: { app: a }", "sourceLabels: { app: b }"],
  ])("and its delegate contradict each other by %s", (_title, root, own) => {
    const yaml =
      virtualService(
        "root",
        "default",
        `{ hosts: [web], http: [{ match: [{ ${root} }], delegate: { name: shop, namespace: team } }] }`,
      ) + delegate(`{ http: [{ match: [{ ${own} }], ${TO_A} }] }`);
    const [only, ...others] = viewOf(MESH + yaml).virtualHost("80", "web").routes;
    expect([only?.name, others]).toEqual(["default", []]);
  });
});
