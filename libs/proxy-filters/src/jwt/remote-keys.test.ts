import type { RemoteJwks } from "@lateen/proto/envoy/extensions/filters/http/jwt_authn/v3/config";
import { JwtAuthentication } from "@lateen/proto/envoy/extensions/filters/http/jwt_authn/v3/config";
import type { DeepPartial } from "@lateen/proto/typeRegistry";
import { expect, it } from "vitest";
import { type FakeCall, FakeExchange, fakeContext } from "../testing/fake-exchange.ts";
import { testIssuer } from "../testing/tokens.ts";
import { decodeJwt } from "./decode.ts";
import { jwtAuthnRuntime } from "./jwt-authn.ts";

const NOW = 1_700_000_000;
const [first, second] = [testIssuer(), testIssuer("ES256", "two")];
const seconds = (value: number) => ({ seconds: BigInt(value), nanos: 0 });
const claims = { iss: "https://issuer.example", exp: NOW + 100_000 };
const REMOTE: DeepPartial<RemoteJwks> = {
  httpUri: {
    uri: "https://issuer.example/keys?v=1",
    httpUpstreamType: { $case: "cluster", value: "issuer" },
    timeout: seconds(5),
  },
  cacheDuration: seconds(300),
};

function decode(remote: DeepPartial<RemoteJwks>) {
  const name = { requiresType: { $case: "providerName", value: "a" } } as const;
  const message = JwtAuthentication.fromPartial({
    providers: {
      a: { issuer: "https://issuer.example", jwksSourceSpecifier: { $case: "remoteJwks", value: remote } },
    },
    rules: [
      {
        match: { pathSpecifier: { $case: "prefix", value: "/" } },
        requirementType: { $case: "requires", value: name },
      },
    ],
  });
  return decodeJwt(JwtAuthentication.encode(message).finish());
}

function filterOf(remote: DeepPartial<RemoteJwks> = {}) {
  const fake = fakeContext();
  fake.time.ms = NOW * 1000;
  const filter = jwtAuthnRuntime.create(decode({ ...REMOTE, ...remote }), fake.context);
  const ask = (token: string) => {
    const exchange = new FakeExchange({ headers: [["authorization", `Bearer ${token}`]] });
    const verdict = filter.onRequestHead?.(exchange);
    const said = () => {
      const [reply] = exchange.replies;
      if (reply !== undefined) return `${reply.status} ${reply.body}`;
      return exchange.resumed > 0 || verdict === "continue" ? "ok" : "waits";
    };
    return { said, leave: () => filter.onDone?.(exchange) };
  };
  return { ...fake, ask };
}

const answer = (call: FakeCall | undefined, body: string, status = 200) =>
  call?.answer({ kind: "response", status, headers: [], body: Buffer.from(body), trailers: [] });
const fail = (call: FakeCall | undefined) => call?.answer({ kind: "failed", reason: "timeout", detail: "" });

it("fetches the keys when a token needs them, once for all that wait, and keeps them", () => {
  const { ask, calls, advance } = filterOf();
  const [one, two] = [ask(first.token(claims)), ask(second.token(claims))];
  expect(calls.map(({ request }) => request)).toEqual([
    {
      cluster: "issuer",
      method: "GET",
      path: "/keys?v=1",
      authority: "issuer.example",
      headers: [],
      body: new Uint8Array(),
      grpc: false,
      timeoutMs: 5000,
      maxResponseBytes: 1024 * 1024,
    },
  ]);
  expect([one.said(), two.said()]).toEqual(["waits", "waits"]);
  answer(calls[0], first.jwks);
  expect([one.said(), two.said()]).toEqual(["ok", "401 Jwks doesn't have key to match kid or alg from Jwt"]);
  advance(299_000);
  expect(ask(first.token(claims)).said()).toBe("ok");
  expect(calls).toHaveLength(1);
});

it("fetches them again when their time is over, and forgets what the old ones had proven", () => {
  const { ask, calls, advance } = filterOf();
  const token = first.token(claims);
  ask(token);
  answer(calls[0], first.jwks);
  advance(300_000);
  const late = ask(token);
  expect(late.said()).toBe("waits");
  answer(calls[1], second.jwks);
  expect(late.said()).toBe("401 Jwks doesn't have key to match kid or alg from Jwt");
  expect(ask(second.token(claims)).said()).toBe("ok");
});

it.each([
  ["an issuer that does not answer", fail],
  ["a status other than 200", (call: FakeCall | undefined) => answer(call, "{}", 404)],
  ["what is no key set", (call: FakeCall | undefined) => answer(call, "hello")],
  ["a set without keys", (call: FakeCall | undefined) => answer(call, '{"keys":[]}')],
])("refuses the token after %s, and asks again for the next", (_title, answering) => {
  const { ask, calls, stats } = filterOf();
  const one = ask(first.token(claims));
  answering(calls[0]);
  expect(one.said()).toBe("401 Jwks remote fetch is failed");
  expect(stats.total("envoy_http_jwt_authn_jwks_fetch_failed")).toBe(1);
  const two = ask(first.token(claims));
  answer(calls[1], first.jwks);
  expect(two.said()).toBe("ok");
});

it("fetches nothing for a token that no key could help", () => {
  const { ask, calls } = filterOf();
  expect(ask("nonsense").said()).toContain("401 Jwt is not in the form");
  expect(ask(first.token({ ...claims, iss: "somebody" })).said()).toBe("401 Jwt issuer is not configured");
  expect(ask(first.token({ ...claims, exp: NOW - 1000 })).said()).toBe("401 Jwt is expired");
  expect(calls).toEqual([]);
});

it("does not resume a request that has gone", () => {
  const { ask, calls } = filterOf();
  const gone = ask(first.token(claims));
  gone.leave();
  answer(calls[0], first.jwks);
  expect(gone.said()).toBe("waits");
});

it("repeats a fetch that failed as often as it is told, further and further apart", () => {
  const retryPolicy = { numRetries: 2, retryBackOff: { baseInterval: seconds(2), maxInterval: seconds(3) } };
  const { ask, calls, advance } = filterOf({ retryPolicy });
  const one = ask(first.token(claims));
  fail(calls[0]);
  // Chance is a half.
  advance(999);
  expect(calls).toHaveLength(1);
  advance(1);
  answer(calls[1], "", 503);
  advance(1499);
  expect(calls).toHaveLength(2);
  advance(1);
  expect(one.said()).toBe("waits");
  fail(calls[2]);
  expect(one.said()).toBe("401 Jwks remote fetch is failed");
});

it("fetches ahead of need where it is asked to, as long as anybody needs it", () => {
  const { ask, calls, advance } = filterOf({ asyncFetch: { failedRefetchDuration: seconds(7) } });
  advance(0);
  expect(calls).toHaveLength(1);
  fail(calls[0]);
  advance(6999);
  expect(calls).toHaveLength(1);
  advance(1);
  answer(calls[1], first.jwks);
  expect(ask(first.token(claims)).said()).toBe("ok");
  advance(295_000);
  answer(calls[2], second.jwks);
  expect(ask(second.token(claims)).said()).toBe("ok");
  for (const index of [3, 4, 5, 6]) {
    advance(300_000);
    answer(calls[index], second.jwks);
  }
  expect(calls).toHaveLength(5);
});

it.each<[string, DeepPartial<RemoteJwks>]>([
  ["http_uri: required", { httpUri: undefined }],
  ["http_uri.uri", { httpUri: { ...REMOTE.httpUri, uri: "ftp://x" } }],
  ["http_uri.cluster", { httpUri: { uri: "http://x", timeout: seconds(1) } }],
  ["http_uri.timeout", { httpUri: { ...REMOTE.httpUri, timeout: undefined } }],
  ["cache_duration", { cacheDuration: seconds(0) }],
  ["retry_policy.retry_on", { retryPolicy: { retryOn: "5xx" } }],
  ["retry_policy.retry_back_off", { retryPolicy: { retryBackOff: { baseInterval: seconds(0) } } }],
])("refuses %s by name", (field, remote) => {
  expect(() => decode({ ...REMOTE, ...remote })).toThrow(`providers[a].remote_jwks.${field}`);
});
