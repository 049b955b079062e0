import { ExtAuthz, ExtAuthzPerRoute } from "@lateen/proto/envoy/extensions/filters/http/ext_authz/v3/ext_authz";
import { CheckRequest, CheckResponse } from "@lateen/proto/envoy/service/auth/v3/external_auth";
import type { SideOutcome } from "@lateen/proxy";
import { describe, expect, it } from "vitest";
import { type FakeCall, FakeExchange, fakeContext } from "../testing/fake-exchange.ts";
import { EXT_AUTHZ } from "./config.ts";
import { decodeExtAuthz, decodeExtAuthzPerRoute } from "./decode.ts";
import { extAuthzRuntime } from "./ext-authz.ts";
import { editedPath } from "./query.ts";

type Message = NonNullable<Parameters<typeof ExtAuthz.fromPartial>[0]>;
type Answer = NonNullable<Parameters<typeof CheckResponse.fromPartial>[0]>;
const decode = (message: Message) => decodeExtAuthz(ExtAuthz.encode(ExtAuthz.fromPartial(message)).finish());
const ofRoute = (message: Parameters<typeof ExtAuthzPerRoute.fromPartial>[0]) =>
  decodeExtAuthzPerRoute(ExtAuthzPerRoute.encode(ExtAuthzPerRoute.fromPartial(message)).finish());
const GRPC: Message = {
  transportApiVersion: 2,
  services: {
    $case: "grpcService",
    value: { targetSpecifier: { $case: "envoyGrpc", value: { clusterName: "authz" } } },
  },
};

function start(message: Message = {}, prepare: (exchange: FakeExchange) => void = () => {}) {
  const fake = fakeContext("inbound", () => 0.5, EXT_AUTHZ);
  const filter = extAuthzRuntime.create(decode({ ...GRPC, ...message }), fake.context);
  const exchange = new FakeExchange({ path: "/a?b", authority: "shop", headers: [["x-a", "1"]] });
  prepare(exchange);
  const verdict = filter.onRequestHead?.(exchange);
  const call = fake.calls[0] as FakeCall;
  return { ...fake, filter, exchange, verdict, call };
}

const framed = (bytes: Uint8Array): Buffer => {
  const body = Buffer.alloc(5 + bytes.length);
  body.writeUInt32BE(bytes.length, 1);
  body.set(bytes, 5);
  return body;
};
type Pairs = readonly (readonly [name: string, value: string])[];
const answered = (body: Buffer, trailers: Pairs = [["grpc-status", "0"]], status = 200): SideOutcome => ({
  kind: "response",
  status,
  headers: [],
  body,
  trailers,
});
const says = (answer: Answer): SideOutcome =>
  answered(framed(CheckResponse.encode(CheckResponse.fromPartial(answer)).finish()));
const failed = (reason: Extract<SideOutcome, { kind: "failed" }>["reason"]): SideOutcome => ({
  kind: "failed",
  reason,
  detail: "",
});

describe("ext_authz", () => {
  it("asks and waits", () => {
    const { verdict, call } = start({ metadataContextNamespaces: ["other"] }, (exchange) => {
      exchange.peer = { ...exchange.peer, principal: "spiffe://cluster.local/ns/shop/sa/web" };
      exchange.setMetadata("other", { text: "t", list: [1, true], inner: { deep: "x" } });
    });
    expect(verdict).toBe("wait");
    const { cluster, path, authority, timeoutMs, grpc, headers } = call.request;
    expect({ cluster, path, authority, timeoutMs, grpc }).toEqual({
      cluster: "authz",
      path: "/envoy.service.auth.v3.Authorization/Check",
      authority: "authz",
      timeoutMs: 200,
      grpc: true,
    });
    expect(headers).toEqual([
      ["content-type", "application/grpc"],
      ["grpc-timeout", "200m"],
    ]);
    const { attributes } = CheckRequest.decode(call.request.body.subarray(5));
    expect(attributes?.source?.principal).toBe("spiffe://cluster.local/ns/shop/sa/web");
    expect(attributes?.source?.address?.address).toMatchObject({
      value: { address: "10.0.0.1", portSpecifier: { value: 41_234 } },
    });
    expect(attributes?.request?.time).toEqual({ seconds: 1_800_000_000n, nanos: 123_000_000 });
    expect(attributes?.request?.http).toMatchObject({
      method: "GET",
      path: "/a?b",
      host: "shop",
      protocol: "HTTP/1.1",
    });
    expect(attributes?.metadataContext?.filterMetadata.other).toEqual({
      text: "t",
      list: [1, true],
      inner: { deep: "x" },
    });
  });

  it("lets pass what is allowed, changed as told", () => {
    const { exchange, call, filter, stats } = start();
    exchange.requestEdits.known = { "x-list": "old" };
    const option = (key: string, value: string, append?: boolean) => ({ header: { key, value }, append });
    call.answer(
      says({
        status: { code: 0 },
        httpResponse: {
          $case: "okResponse",
          value: {
            headers: [option("X-User", "ann"), option("x-list", "new", true), option("x-none", "new", true)],
            headersToRemove: ["X-Secret"],
            responseHeadersToAdd: [option("x-r", "1"), { header: { key: "x-s", value: "1" }, appendAction: 3 }],
          },
        },
        dynamicMetadata: { who: "ann" },
      }),
    );
    expect(exchange.resumed).toBe(1);
    expect(exchange.requestEdits.log).toEqual(["set x-user=ann", "set x-list=old,new", "remove x-secret"]);
    filter.onResponseHead?.(exchange);
    expect(exchange.responseEdits.log).toEqual(["append x-r=1"]);
    expect(exchange.metadata(EXT_AUTHZ)).toEqual({ who: "ann" });
    expect(stats.total("envoy_http_ext_authz_ok")).toBe(1);
  });

  it("answers what is denied as the service says", () => {
    const { exchange, call } = start();
    const value = {
      status: { code: 401 as const },
      headers: [{ header: { key: "www-authenticate", value: "Bearer" } }],
      body: "who?",
    };
    call.answer(says({ status: { code: 16 }, httpResponse: { $case: "deniedResponse", value } }));
    expect(exchange.replies).toEqual([
      { status: 401, body: "who?", flag: "UAEX", details: "ext_authz_denied", because: "authz" },
    ]);
    expect(exchange.responseEdits.log).toEqual(["set www-authenticate=Bearer"]);
  });

  describe("never lets pass what nobody allowed", () => {
    const wrong: readonly (readonly [string, SideOutcome])[] = [
      ["no cluster", failed("noCluster")],
      ["nobody there", failed("noEndpoint")],
      ["no answer in time", failed("timeout")],
      ["a connection that broke", failed("reset")],
      ["an answer that is too long", failed("tooLarge")],
      ["another status", answered(framed(Buffer.alloc(0)), undefined, 503)],
      ["an error", answered(Buffer.alloc(0), [["grpc-status", "13"]])],
      ["no outcome", answered(framed(Buffer.alloc(0)), [])],
      ["no message", answered(Buffer.alloc(0))],
      ["half a message", answered(framed(Buffer.from([10, 2, 8, 0])).subarray(0, 8))],
      ["a compressed message", answered(Buffer.concat([Buffer.from([1]), framed(Buffer.from([10, 0])).subarray(1)]))],
      ["nonsense", answered(framed(Buffer.from([0xff, 0xff, 0xff])))],
      ["two messages", answered(Buffer.concat([framed(Buffer.from([10, 0])), framed(Buffer.from([10, 0]))]))],
    ];
    it.each(wrong)("%s", (_title, outcome) => {
      const { exchange, call, stats } = start();
      call.answer(outcome);
      expect(exchange.resumed).toBe(0);
      expect(exchange.replies).toEqual([
        { status: 403, body: "", flag: "UAEX", details: "ext_authz_error", because: "authz" },
      ]);
      expect(stats.total("envoy_http_ext_authz_error")).toBe(1);
    });

    it.each(wrong)("unless it is to: %s", (_title, outcome) => {
      const { exchange, call } = start({ failureModeAllow: true, failureModeAllowHeaderAdd: true });
      call.answer(outcome);
      expect([exchange.resumed, exchange.replies]).toEqual([1, []]);
      expect(exchange.requestEdits.log).toEqual(["set x-envoy-auth-failure-mode-allowed=true"]);
    });
  });

  it("says so with the status it was given", () => {
    const { exchange, call } = start({ statusOnError: { code: 503 } });
    call.answer(failed("timeout"));
    expect(exchange.replies[0]?.status).toBe(503);
  });

  it("gives up when the client does", () => {
    const { filter, exchange, call } = start();
    filter.onDone?.(exchange);
    expect(call.cancelled).toBe(true);
    const other = start();
    other.call.answer(says({ status: { code: 0 } }));
    other.filter.onDone?.(other.exchange);
    expect(other.call.cancelled).toBe(false);
  });

  it.each([
    [
      "of a share",
      { filterEnabled: { defaultValue: { numerator: 50, denominator: 0 as const } } },
      undefined,
      "continue",
    ],
    ["without the metadata", {}, undefined, "continue"],
    ["with the metadata", {}, { policy: "istio-ext-authz-p" }, "wait"],
    ["without the metadata that are denied", { denyAtDisable: { defaultValue: true } }, undefined, "replied"],
  ])("requests %s", (_title, message, metadata, expected) => {
    const match = { filter: "rbac", path: [{ segment: { $case: "key", value: "policy" } }] } as const;
    const value = {
      matchPattern: { $case: "stringMatch", value: { matchPattern: { $case: "prefix", value: "istio-ext" } } },
    } as const;
    const { verdict } = start(
      { filterEnabledMetadata: { ...match, path: [...match.path], value }, ...message },
      (exchange) => {
        if (metadata !== undefined) exchange.setMetadata("rbac", metadata);
      },
    );
    expect(verdict).toBe(expected);
  });

  it("routes switch it off, or tell the service more", () => {
    const off = ofRoute({ override: { $case: "disabled", value: true } });
    expect(start({}, (exchange) => Object.assign(exchange.configs, { [EXT_AUTHZ]: off })).verdict).toBe("continue");
    const more = ofRoute({ override: { $case: "checkSettings", value: { contextExtensions: { a: "b" } } } });
    const { call } = start({}, (exchange) => Object.assign(exchange.configs, { [EXT_AUTHZ]: more }));
    expect(CheckRequest.decode(call.request.body.subarray(5)).attributes?.contextExtensions).toEqual({ a: "b" });
  });

  it("chooses the route again when what it changed may count", () => {
    const { exchange, call } = start({ clearRouteCache: true });
    call.answer(
      says({ status: { code: 0 }, httpResponse: { $case: "okResponse", value: { headersToRemove: ["x-a"] } } }),
    );
    expect(exchange.rematches).toBe(1);
  });

  it.each<[string, Message, string]>([
    ["no service", { services: undefined }, "services: grpc_service or http_service is required"],
    [
      "mutation rules",
      { decoderHeaderMutationRules: { disallowAll: true } },
      "decoder_header_mutation_rules: not supported",
    ],
    ["raw headers", { encodeRawHeaders: true }, "encode_raw_headers: not supported"],
    ["typed metadata", { typedMetadataContextNamespaces: ["a"] }, "typed_metadata_context_namespaces: not supported"],
    ["bodies of no size", { withRequestBody: {} }, "with_request_body.max_request_bytes"],
    [
      "another client of gRPC",
      { services: { $case: "grpcService", value: { targetSpecifier: { $case: "googleGrpc", value: {} } } } },
      "grpc_service: only envoy_grpc is supported",
    ],
    [
      "a service without time limit",
      { services: { $case: "httpService", value: { serverUri: { uri: "a" } } } },
      "server_uri.timeout: required",
    ],
  ])("refuses %s", (_title, message, expected) => {
    expect(() => decode({ ...GRPC, ...message } as Message)).toThrow(expected);
  });
});

describe("queries", () => {
  it.each([
    ["/a", [["q", "1"]], [], "/a?q=1"],
    ["/a?q=0&b=2&q=3", [["q", "1"]], [], "/a?q=1&b=2"],
    ["/a?b=2&c", [], ["b", "c"], "/a"],
    ["/a?b=2&c", [], ["b"], "/a?c"],
  ] as const)("%s with %j without %j is %s", (path, set, remove, expected) => {
    expect(editedPath(path, set, remove)).toBe(expected);
  });
});
