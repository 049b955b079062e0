import { Node } from "@lateen/proto/envoy/config/core/v3/base";
import { describe, expect, it } from "vitest";
import { nodeFromProto } from "./node.ts";

const ID = "sidecar~10.1.2.3~web-1.prod~prod.svc.cluster.local";
const read = (id: string, metadata: Readonly<Record<string, unknown>> = {}) =>
  nodeFromProto(Node.fromPartial({ id, metadata }));

describe("an xDS node", () => {
  it("is what its id and metadata say", () => {
    const node = read(ID, {
      NAMESPACE: "prod",
      LABELS: { b: "2", a: "1", odd: 3 },
      SERVICE_ACCOUNT: "web",
      CLUSTER_ID: "east",
      ISTIO_VERSION: "1.27.0",
      POD_PORTS:
        '[{"containerPort":9090},{"name":"http","containerPort":80,"protocol":"TCP"},{"containerPort":53,"protocol":"UDP"}]',
    });
    expect(node).toEqual({
      ok: true,
      value: {
        id: ID,
        kind: "sidecar",
        address: "10.1.2.3",
        pod: "web-1",
        namespace: "prod",
        domain: "prod.svc.cluster.local",
        generator: "proxy",
        labels: { a: "1", b: "2" },
        serviceAccount: "web",
        clusterId: "east",
        containerPorts: [
          { name: "http", port: 80 },
          { name: "", port: 9090 },
        ],
        capabilities: { lateen: false, http2: true, extensions: [] },
        locality: "",
        network: "",
        machine: "",
        autoRegisterGroup: "",
        version: "1.27.0",
        metadata: expect.objectContaining({ NAMESPACE: "prod", ISTIO_VERSION: "1.27.0" }),
        types: undefined,
      },
    });
  });

  it("keeps short metadata, and not without end", () => {
    const many = Object.fromEntries(Array.from({ length: 1_000 }, (_, index) => [`K${index}`, "v"]));
    const node = read(ID, { ...many, LONG: "x".repeat(257), NAMESPACE: "prod" });
    const { metadata = {} } = node.ok ? node.value : {};
    expect(Object.keys(metadata)).toHaveLength(128);
    expect(metadata.LONG).toBeUndefined();
  });

  it("runs the filters that it lists: Envoy by its extensions, proxies of this project in their metadata", () => {
    const types = (fields: Parameters<typeof Node.fromPartial>[0]) => {
      const node = nodeFromProto(Node.fromPartial({ id: ID, ...fields }));
      return node.ok ? node.value.types && [...node.value.types] : node.error;
    };
    const lua = { category: "envoy.filters.http", typeUrls: ["envoy.extensions.filters.http.lua.v3.Lua"] };
    const sink = { category: "envoy.stats_sinks", typeUrls: ["envoy.config.metrics.v3.StatsdSink"] };
    expect(types({})).toBeUndefined();
    expect(types({ extensions: [lua, sink] })).toEqual(lua.typeUrls);
    expect(types({ metadata: { LATEEN_CAPABILITIES: ["http1"], LATEEN_EXTENSIONS: ["a.B"] } })).toEqual(["a.B"]);
    expect(types({ metadata: { LATEEN_CAPABILITIES: ["http1"] }, extensions: [lua] })).toEqual([]);
  });

  it.each([
    [{ region: "r", zone: "z", subZone: "s" }, "r/z/s"],
    [{ region: "r", zone: "", subZone: "" }, "r"],
    [{ region: "", zone: "", subZone: "" }, ""],
  ])("has its locality: %o", (locality, expected) => {
    const node = nodeFromProto(Node.fromPartial({ id: ID, locality }));
    expect(node).toMatchObject({ ok: true, value: { locality: expected } });
  });

  it.each([
    [["http1", "tcp"], undefined, { lateen: true, http2: false, extensions: [] }],
    [["http2"], ["b", "a"], { lateen: true, http2: true, extensions: ["a", "b"] }],
    [undefined, ["a"], { lateen: false, http2: true, extensions: [] }],
  ])("capabilities %j, extensions %j", (capabilities, extensions, expected) => {
    const node = read(ID, { LATEEN_CAPABILITIES: capabilities, LATEEN_EXTENSIONS: extensions });
    expect(node.ok && node.value.capabilities).toEqual(expected);
  });

  it.each([
    ["", "not of the form"],
    ["sidecar~10.1.2.3~web-1.prod", "not of the form"],
    [`${ID}~more`, "not of the form"],
    ["ztunnel~10.1.2.3~web-1.prod~d", "not served"],
    ["sidecar~10.1.2.3~web~d", "not pod.namespace"],
    ["sidecar~10.1.2.3~.prod~d", "not pod.namespace"],
  ])("%j is refused", (id, reason) => {
    const node = read(id);
    expect(node.ok ? "" : node.error).toContain(reason);
  });

  it("may not claim another namespace in its metadata", () => {
    expect(read(ID, { NAMESPACE: "istio-system" }).ok).toBe(false);
  });

  it("survives nonsense in its metadata", () => {
    const node = read(ID, { LABELS: "x", POD_PORTS: "{", SERVICE_ACCOUNT: 7 });
    expect(node.ok && [node.value.labels, node.value.containerPorts, node.value.serviceAccount]).toEqual([
      {},
      [],
      "default",
    ]);
  });
});
