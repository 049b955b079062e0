import { nodeFromProto } from "@lateen/compiler";
import { Node } from "@lateen/proto/envoy/config/core/v3/base";
import { xdsTypes } from "@lateen/xds";
import { describe, expect, it } from "vitest";
import { FakeCompiler } from "../testing/fake-compiler.ts";
import { service } from "../testing/objects.ts";
import { GuardedSource } from "./guarded-source.ts";

const { cluster, endpoint, route } = xdsTypes;
const A = "Service/shop/a";
const B = "Service/shop/b";

function start() {
  const compiler = new FakeCompiler();
  compiler.apply({ upserted: [service("a", "shop", "10.96.0.1"), service("b", "shop", "10.96.0.2")], removed: [] });
  const node = nodeFromProto(Node.fromPartial({ id: "sidecar~127.64.0.9~web-1.shop~shop.svc.cluster.local" }));
  if (!node.ok) throw new Error(node.error);
  const events: string[] = [];
  const source = new GuardedSource({
    compiler,
    node: node.value,
    revision: () => 1,
    versionInfo: () => "1/1",
    onFailure: (typeUrl, reason) => events.push(`${typeUrl.split(".").at(-1)}: ${reason ?? "works"}`),
  });
  return { compiler, source, events };
}

const names = (resources: ReadonlyMap<string, unknown> | undefined) => resources && [...resources.keys()];

describe("GuardedSource", () => {
  it("passes on the very answers of the compiler", () => {
    const { source } = start();
    expect(source.resources(cluster)).toBe(source.resources(cluster));
    expect(names(source.resources(endpoint, new Set([A])))).toEqual([A]);
  });

  it("cannot say what it never could, and gives what it last could", () => {
    const { compiler, source, events } = start();
    compiler.failFor = { pod: "*", typeUrl: cluster };
    expect(source.resources(cluster)).toBeUndefined();
    compiler.failFor = undefined;
    const good = source.resources(cluster);
    compiler.failFor = { pod: "*", typeUrl: cluster };
    expect(source.resources(cluster)).toBe(good);
    expect(source.resources(cluster)).toBe(good);
    expect(events).toEqual(["Cluster: cannot compile", "Cluster: works", "Cluster: cannot compile"]);
  });

  it("separates names that fail from those that do not", () => {
    const { compiler, source } = start();
    compiler.failFor = { pod: "*", typeUrl: endpoint, name: A };
    expect(names(source.resources(endpoint, new Set([A, B])))).toEqual([B]);
    expect([...source.unknown(endpoint)]).toEqual([A]);
    compiler.failFor = undefined;
    expect(names(source.resources(endpoint, new Set([A, B])))).toEqual([A, B]);
    expect([...source.unknown(endpoint)]).toEqual([]);
    compiler.failFor = { pod: "*", typeUrl: endpoint, name: A };
    expect(names(source.resources(endpoint, new Set([A, B])))).toEqual([A, B]);
  });

  it("keeps routes as they were while clusters cannot be compiled", () => {
    const { compiler, source } = start();
    source.resources(cluster);
    source.resources(route, new Set([A]));
    compiler.apply({ upserted: [service("c", "shop", "10.96.0.3")], removed: [] });
    compiler.failFor = { pod: "*", typeUrl: cluster };
    source.resources(cluster);
    const C = "Service/shop/c";
    expect(names(source.resources(route, new Set([A, C])))).toEqual([A]);
    expect([...source.unknown(route)]).toEqual([C]);
    compiler.failFor = undefined;
    source.resources(cluster);
    expect(names(source.resources(route, new Set([A, C])))).toEqual([A, C]);
  });
});
