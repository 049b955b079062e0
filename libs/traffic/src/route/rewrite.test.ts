import { describe, expect, it } from "vitest";
import { headFrom } from "../head/build.ts";
import { forward, prefix, route, table, virtualHost } from "../testing/specs.ts";
import { parseFormat } from "./format.ts";
import { redirectLocation } from "./redirect.ts";
import { rewritePath } from "./rewrite.ts";
import type { ForwardSpec, RedirectSpec, RouteSpec } from "./spec.ts";
import { compileRouteTable } from "./table.ts";

function compiled(spec: RouteSpec) {
  const match = compileRouteTable(table([virtualHost(["*"], [spec])])).match(headFrom({ path: "/" }), () => 0);
  const found =
    match?.route ?? compileRouteTable(table([virtualHost(["*"], [spec])])).virtualHost(headFrom({}))?.routes[0];
  if (found === undefined) throw new Error("no route");
  return found;
}
const NONE: ForwardSpec["rewrite"] = { prefix: undefined, regex: undefined, host: undefined };

describe("rewrite", () => {
  const rewritten = (path: RouteSpec["match"]["path"], rewrite: Partial<ForwardSpec["rewrite"]>, target: string) =>
    rewritePath(
      compiled(route("r", { path }, { action: forward("c", { rewrite: { ...NONE, ...rewrite } }) })),
      headFrom({ path: target }),
    );
  const exact = { kind: "exact", value: "/a", ignoreCase: false } as const;

  it.each<[string, RouteSpec["match"]["path"], Partial<ForwardSpec["rewrite"]>, string, string | undefined]>([
    ["none", prefix("/a"), {}, "/a", undefined],
    ["a prefix", prefix("/api"), { prefix: "/v1" }, "/api/x?y=/api", "/v1/x?y=/api"],
    ["a prefix to the root", prefix("/api/"), { prefix: "/" }, "/api/x", "/x"],
    ["a prefix that ends in the query", prefix("/a"), { prefix: "/b" }, "/a?x", "/b?x"],
    ["a prefix in any case", prefix("/API", true), { prefix: "/v1" }, "/aPi/x", "/v1/x"],
    ["a whole path", exact, { prefix: "/b" }, "/a?x", "/b?x"],
    ["what an expression matched", { kind: "regex", pattern: "/a/.*" }, { prefix: "/b" }, "/a/c?x", "/b?x"],
    [
      "by expression",
      prefix("/"),
      { regex: { pattern: "^/x/(\\d+)", substitution: "/y/\\1/z" } },
      "/x/12/t?q",
      "/y/12/z/t?q",
    ],
    [
      "by expression, everywhere",
      prefix("/"),
      { regex: { pattern: "a", substitution: "\\\\\\0" } },
      "/aba?a",
      "/\\ab\\a?a",
    ],
    ["bytes that are no text", prefix("/a"), { prefix: "/é" }, "/a/ü", Buffer.from("/é/ü").toString("latin1")],
  ])("%s", (_, path, rewrite, target, expected) => {
    expect(rewritten(path, rewrite, target)).toBe(expected);
  });
});

describe("redirect", () => {
  const base: RedirectSpec = {
    status: 301,
    scheme: undefined,
    host: undefined,
    port: undefined,
    path: undefined,
    prefixRewrite: undefined,
    stripQuery: false,
  };
  const location = (
    change: Partial<RedirectSpec>,
    authority = "shop.example",
    target = "/a/b?q=1",
    scheme: "http" | "https" = "http",
  ) =>
    redirectLocation(
      compiled(route("r", { path: prefix("/a") }, { action: { kind: "redirect", ...base, ...change } })),
      headFrom({ authority, path: target }),
      scheme,
    )?.location;

  it.each<[string, Partial<RedirectSpec>, string | undefined, string]>([
    ["to https", { scheme: "https" }, undefined, "https://shop.example/a/b?q=1"],
    ["to https from port 80", { scheme: "https" }, "shop.example:80", "https://shop.example/a/b?q=1"],
    ["to https from another port", { scheme: "https" }, "shop.example:8080", "https://shop.example:8080/a/b?q=1"],
    ["to a host", { host: "other" }, "shop.example:81", "http://other/a/b?q=1"],
    ["to a port", { port: 8443 }, "shop.example:81", "http://shop.example:8443/a/b?q=1"],
    ["to the default port", { port: 443, scheme: "https" }, "[::1]:80", "https://[::1]/a/b?q=1"],
    ["to a path", { path: "/new" }, undefined, "http://shop.example/new?q=1"],
    ["to a path with its own query", { path: "/new?x=2" }, undefined, "http://shop.example/new?x=2"],
    ["to a path without query", { path: "/new", stripQuery: true }, undefined, "http://shop.example/new"],
    ["to a prefix", { prefixRewrite: "/z" }, undefined, "http://shop.example/z/b?q=1"],
    ["to a prefix without query", { prefixRewrite: "/z", stripQuery: true }, undefined, "http://shop.example/z/b"],
    [
      "by expression",
      { regexRewrite: { pattern: "^/a(/?)(.*)", substitution: "/\\2" } },
      undefined,
      "http://shop.example/b?q=1",
    ],
    ["without query", { stripQuery: true }, undefined, "http://shop.example/a/b"],
  ])("%s", (_, change, authority, expected) => {
    expect(location(change, authority)).toBe(expected);
  });

  it("is none for other routes", () => {
    expect(redirectLocation(compiled(route("r")), headFrom({}), "http")).toBeUndefined();
  });
});

describe("formats", () => {
  it.each([
    ["plain", [{ kind: "text", text: "plain" }]],
    ["", []],
    ["100%% %", [{ kind: "text", text: "100% %" }]],
    [
      "a%REQ(X-A?:PATH):10%b",
      [
        { kind: "text", text: "a" },
        { kind: "operator", name: "REQ", argument: "X-A?:PATH", maxLength: 10 },
        { kind: "text", text: "b" },
      ],
    ],
    ["%START_TIME(%Y-%m)%", [{ kind: "operator", name: "START_TIME", argument: "%Y-%m", maxLength: undefined }]],
    ["%lower%", [{ kind: "text", text: "%lower%" }]],
  ])("%s", (format, parts) => {
    expect(parseFormat(format)).toEqual(parts);
  });
});
