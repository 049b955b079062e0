import { Struct } from "@lateen/proto/google/protobuf/struct";
import { Config } from "@lateen/proto/istio/peer_metadata/peer_metadata";
import { headFrom } from "@lateen/traffic";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FakeExchange, fakeContext } from "../testing/fake-exchange.ts";
import { decodePeerMetadata } from "./decode.ts";
import { decodeFacts, encodeFacts } from "./facts.ts";
import { peerMetadataRuntime } from "./peer-metadata.ts";
import { decodeStruct, encodeStruct, type TextStruct } from "./struct.ts";

const { context } = fakeContext();
const OURS = encodeFacts(context.self);
const PRINCIPAL = "spiffe://cluster.local/ns/shop/sa/productpage";
const headers = { $case: "istioHeaders", value: {} } as const;
const decode = (config: Parameters<typeof Config.fromPartial>[0]) =>
  decodePeerMetadata(Config.encode(Config.fromPartial(config)).finish());
const SERVER = decode({
  downstreamDiscovery: [{ methodSpecifier: headers }],
  downstreamPropagation: [{ methodSpecifier: headers }],
});
const CLIENT = decode({
  upstreamDiscovery: [{ methodSpecifier: headers }],
  upstreamPropagation: [{ methodSpecifier: headers }],
});
const STRIP = ["remove x-envoy-peer-metadata", "remove x-envoy-peer-metadata-id"];

function server(metadata: string, principal: string | undefined, filter = peerMetadataRuntime.create(SERVER, context)) {
  const exchange = new FakeExchange({
    headers: [
      ["x-envoy-peer-metadata-id", "sidecar~1.2.3.4~a.shop~shop"],
      ["x-envoy-peer-metadata", metadata],
    ],
  });
  exchange.peer = { ...exchange.peer, principal };
  filter.onRequestHead?.(exchange);
  return { exchange, filter };
}

describe("server", () => {
  it("learns who calls and strips the pair", () => {
    const { exchange } = server(OURS, PRINCIPAL);
    expect(exchange.peerWorkload).toEqual({
      workload: "productpage-v1",
      namespace: "shop",
      app: "productpage",
      version: "v1",
      canonicalService: "productpage",
      canonicalRevision: "v1",
      cluster: "local",
    });
    expect(exchange.requestEdits.log).toEqual(STRIP);
  });

  it.each([
    ["on plaintext", OURS, undefined],
    ["from another namespace", OURS, "spiffe://cluster.local/ns/other/sa/productpage"],
    ["that is no struct", "AAAA", PRINCIPAL],
    ["that is empty", "", PRINCIPAL],
    ["of enormous size", "A".repeat(20_000), PRINCIPAL],
  ])("believes no claim %s, but strips it", (_, metadata, principal) => {
    const { exchange } = server(metadata, principal);
    expect(exchange.peerWorkload).toBeUndefined();
    expect(exchange.requestEdits.log).toEqual(STRIP);
  });

  it("decodes a peer once: the facts keep their identity", () => {
    const first = server(OURS, PRINCIPAL);
    const second = server(OURS, PRINCIPAL, first.filter);
    expect(second.exchange.peerWorkload).toBe(first.exchange.peerWorkload);
  });

  it("does not take one peer's facts for another's that shares its id", () => {
    const first = server(OURS, PRINCIPAL);
    const other = encodeFacts({ ...context.self, workload: "details-v1" });
    expect(server(other, PRINCIPAL, first.filter).exchange.peerWorkload?.workload).toBe("details-v1");
  });

  it("answers peers that need it, not those of this project", () => {
    const istio = Struct.encode(
      Struct.wrap({ NAMESPACE: "shop", WORKLOAD_NAME: "envoy-v1", LABELS: { app: "envoy" } }),
    ).finish();
    const { exchange, filter } = server(Buffer.from(istio).toString("base64"), PRINCIPAL);
    filter.onResponseHead?.(exchange);
    expect(exchange.responseEdits.log).toEqual([
      `set x-envoy-peer-metadata=${OURS}`,
      `set x-envoy-peer-metadata-id=${context.self.nodeId}`,
    ]);
    const own = server(OURS, PRINCIPAL);
    own.filter.onResponseHead?.(own.exchange);
    expect(own.exchange.responseEdits.log).toEqual([]);
  });
});

describe("client", () => {
  const filter = peerMetadataRuntime.create(CLIENT, context);
  it("tells mutual TLS upstreams who it is", () => {
    const exchange = new FakeExchange();
    exchange.summary.upstreamMutualTls = true;
    filter.onUpstream?.(exchange);
    expect(exchange.requestEdits.log).toEqual([
      `set x-envoy-peer-metadata=${OURS}`,
      `set x-envoy-peer-metadata-id=${context.self.nodeId}`,
    ]);
  });

  it("tells others nothing, also when a retry changes the kind of endpoint", () => {
    const exchange = new FakeExchange();
    filter.onUpstream?.(exchange);
    expect(exchange.requestEdits.log).toEqual([]);
    exchange.summary.upstreamMutualTls = true;
    filter.onUpstream?.(exchange);
    exchange.summary.upstreamMutualTls = false;
    filter.onUpstream?.(exchange);
    expect(exchange.requestEdits.log.slice(2)).toEqual(STRIP);
  });

  it("lets neither the application speak for it nor the answer through", () => {
    const exchange = new FakeExchange({ headers: [["x-envoy-peer-metadata", OURS]] });
    filter.onRequestHead?.(exchange);
    expect(exchange.requestEdits.log).toEqual(STRIP);
    expect(exchange.peerWorkload).toBeUndefined();
    exchange.response = headFrom({ status: 200, headers: [["X-Envoy-Peer-Metadata-Id", "x"]] });
    filter.onResponseHead?.(exchange);
    expect(exchange.responseEdits.log).toEqual(STRIP);
  });
});

describe("wire format", () => {
  it("is what a protobuf library reads", () => {
    expect(Struct.unwrap(Struct.decode(Buffer.from(OURS, "base64")))).toEqual({
      CLUSTER_ID: "local",
      LABELS: {
        "service.istio.io/canonical-name": "productpage",
        "service.istio.io/canonical-revision": "v1",
        app: "productpage",
        version: "v1",
      },
      LATEEN: "1",
      NAMESPACE: "shop",
      WORKLOAD_NAME: "productpage-v1",
    });
  });

  it("reads what a protobuf library wrote, leaving out what is not text", () => {
    const bytes = Struct.encode(
      Struct.wrap({ NAMESPACE: "n", N: 1.5, B: true, L: ["a"], LABELS: { app: "x", n: null } }),
    ).finish();
    expect(decodeFacts(Buffer.from(bytes).toString("base64"))).toEqual({
      facts: {
        workload: "",
        namespace: "n",
        app: "x",
        version: "",
        canonicalService: "x",
        canonicalRevision: "latest",
        cluster: "",
      },
      lateen: false,
    });
  });

  const struct: fc.Arbitrary<TextStruct> = fc.dictionary(
    fc.string(),
    fc.oneof(fc.string(), fc.dictionary(fc.string(), fc.string())),
    { noNullPrototype: false },
  );
  it("comes back as it went", () => {
    fc.assert(
      fc.property(struct, (value) => {
        expect(JSON.stringify(decodeStruct(encodeStruct(value)))).toBe(JSON.stringify(value));
      }),
    );
  });
  it("never throws on bytes of any kind", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        decodeStruct(bytes);
      }),
    );
  });
});

it.each([
  [{ downstreamDiscovery: [{ methodSpecifier: { $case: "baggage", value: {} } }] }, "only istio_headers"],
  [{ sharedWithUpstream: true }, "shared_with_upstream: not supported"],
] as const)("refuses %j", (config, message) => {
  expect(() => decode(config as never)).toThrow(message);
});
