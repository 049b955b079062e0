import { expect, it } from "vitest";
import { conditionClaim, headerClaim } from "./claims.ts";

it.each<[string, readonly string[] | undefined]>([
  ["request.auth.claims[sub]", ["sub"]],
  ["request.auth.claims[realm][name]", ["realm", "name"]],
  ["request.auth.claims[https://a.example/role]", ["https://a.example/role"]],
  ["request.auth.claims", undefined],
  ["request.auth.claims[]", undefined],
  ["request.auth.claims[a", undefined],
  ["request.auth.claims.a", undefined],
  ["request.headers[a]", undefined],
])("condition %s", (key, expected) => {
  expect(conditionClaim(key)).toEqual(expected);
});

it.each<[string, readonly string[] | undefined]>([
  ["@request.auth.claims.sub", ["sub"]],
  ["@request.auth.claims.realm.Name", ["realm", "Name"]],
  ["@request.auth.claims[a.b][c]", ["a.b", "c"]],
  ["@Request.Auth.Claims.sub", ["sub"]],
  ["@request.auth.claims", undefined],
  ["@request.auth.claims.", undefined],
  ["@request.auth.claims.a..b", undefined],
  ["@request.auth.principal", undefined],
  ["x-user", undefined],
])("header %s", (name, expected) => {
  expect(headerClaim(name)).toEqual(expected);
});
