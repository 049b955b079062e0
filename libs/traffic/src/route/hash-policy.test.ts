import { describe, expect, it } from "vitest";
import { combineHash, xxHash64 } from "../hash/xxhash64.ts";
import { type HeadInput, headFrom } from "../head/build.ts";
import { compileHashPolicies } from "./hash-policy.ts";
import type { HashPolicySpec } from "./spec.ts";

const of = (text: string) => xxHash64(Buffer.from(text));
const client = { address: "10.0.0.7", cookieValue: () => "made" };
const run = (specs: readonly HashPolicySpec[], head: HeadInput) => compileHashPolicies(specs)(headFrom(head), client);
const cookie = (change: Partial<Extract<HashPolicySpec, { kind: "cookie" }>> = {}) =>
  ({
    kind: "cookie",
    name: "user",
    ttlSeconds: undefined,
    path: "",
    attributes: [],
    terminal: false,
    ...change,
  }) as const;
const header = { kind: "header", name: "x-user", terminal: false } as const;
const query = { kind: "query", name: "user", terminal: false } as const;

describe("hash policies", () => {
  it.each([
    ["a header", [header], { headers: [["X-User", "ann"]] }, of("ann")],
    ["a missing header", [header], {}, undefined],
    ["the authority", [{ ...header, name: ":authority" }], { authority: "a.example" }, of("a.example")],
    ["the source address", [{ kind: "sourceIp", terminal: false }], {}, of("10.0.0.7")],
    ["a query parameter", [query], { path: "/?a=1&user=ann&b=2" }, of("ann")],
    ["an empty query parameter", [query], { path: "/?user" }, of("")],
    ["a parameter of a longer name", [query], { path: "/?users=ann" }, undefined],
    ["a cookie", [cookie()], { headers: [["cookie", 'a=b; user="ann"']] }, of("ann")],
    [
      "a cookie of a second line",
      [cookie()],
      {
        headers: [
          ["cookie", "a=b"],
          ["cookie", "user=ann"],
        ],
      },
      of("ann"),
    ],
    ["a missing cookie", [cookie()], { headers: [["cookie", "a=b"]] }, undefined],
    [
      "two values",
      [header, query],
      { path: "/?user=bob", headers: [["x-user", "ann"]] },
      combineHash(of("ann"), of("bob")),
    ],
    [
      "a terminal value",
      [{ ...header, terminal: true }, query],
      { path: "/?user=bob", headers: [["x-user", "ann"]] },
      of("ann"),
    ],
    ["a terminal value that is missing", [{ ...header, terminal: true }, query], { path: "/?user=bob" }, of("bob")],
  ] as readonly (readonly [string, readonly HashPolicySpec[], HeadInput, bigint | undefined])[])(
    "%s",
    (_title, specs, head, expected) => {
      expect(run(specs, head)).toEqual({ hash: expected, setCookie: undefined });
    },
  );

  it.each([
    ["of the session", { ttlSeconds: 0 }, 'user="made"; HttpOnly'],
    ["with a lifetime and path", { ttlSeconds: 60, path: "/a" }, 'user="made"; Max-Age=60; Path=/a; HttpOnly'],
    [
      "with attributes",
      {
        ttlSeconds: 0,
        attributes: [
          { name: "SameSite", value: "Strict" },
          { name: "Secure", value: "" },
        ],
      },
      'user="made"; SameSite=Strict; Secure; HttpOnly',
    ],
  ])("makes a cookie %s", (_title, change, expected) => {
    expect(run([cookie(change)], {})).toEqual({ hash: of("made"), setCookie: expected });
  });
});
