import { keyOf, type Resource } from "@lateen/mesh-model";
import { Node } from "@lateen/proto/envoy/config/core/v3/base";
import { DeltaDiscoveryRequest, type DeltaDiscoveryResponse } from "@lateen/proto/envoy/service/discovery/v3/discovery";
import { HEALTH_TYPE, xdsTypes } from "@lateen/xds";
import { afterEach, describe, expect, it } from "vitest";
import { AutoProxy, settle } from "./testing/auto-proxy.ts";
import { objectsOf } from "./testing/objects.ts";
import { at, closeAll, started } from "./testing/started.ts";

afterEach(closeAll);

const { cluster, endpoint, listener } = xdsTypes;

describe("a stream of one type", () => {
  const caller = { namespace: "shop", serviceAccount: "web", via: "token" } as const;
  const node = Node.fromPartial({ id: "sidecar~127.64.0.9~web-1.shop~shop.svc.cluster.local" });

  async function open(only: string) {
    const parts = await started();
    const got: DeltaDiscoveryResponse[] = [];
    let closed: number | undefined;
    const session = parts.pilot.ads.openDelta(
      caller,
      {
        send: (response) => got.push(response) > 0,
        close: (code) => {
          closed = code;
        },
      },
      only,
    );
    const send = (fields: Partial<DeltaDiscoveryRequest>) =>
      session.receive(DeltaDiscoveryRequest.fromPartial({ node, ...fields }));
    return { ...parts, got, send, code: () => closed };
  }

  it("takes requests without a type for its own, follows changes, and is no proxy that anybody waits for", async () => {
    const { got, send, config, advance, pilot } = await open(endpoint);
    send({ resourceNamesSubscribe: ["Service/shop/a"] });
    expect(got.map(({ typeUrl, resources }) => [typeUrl, resources.map(({ name }) => name)])).toEqual([
      [endpoint, ["Service/shop/a"]],
    ]);
    send({ responseNonce: got[0]?.nonce ?? "" });
    config.upsert(2, at("a", "2"), at("b", "2"));
    await advance(50);
    expect(got.slice(1).map(({ resources }) => resources.map(({ name, version }) => `${name}@${version}`))).toEqual([
      ["Service/shop/a@2"],
    ]);
    const { proxies, typeStreams } = pilot.status();
    expect(proxies).toEqual([]);
    expect(typeStreams).toMatchObject([{ pod: "web-1", synced: false, types: { [endpoint]: { resources: 1 } } }]);
    expect(await pilot.waitSynced(2, 0)).toEqual({ synced: true, laggards: [] });
  });

  it("carries listeners without the clusters that they refer to", async () => {
    const { got, send } = await open(listener);
    send({});
    expect(got.map(({ resources }) => resources.map(({ name }) => name))).toEqual([["pilot"]]);
  });

  it("changes from everything to names and back", async () => {
    const { got, send } = await open(cluster);
    const held = new Set<string>();
    const step = (fields: Partial<DeltaDiscoveryRequest>) => {
      send(fields);
      for (const { resources, removedResources, nonce } of got.splice(0)) {
        for (const { name } of resources) held.add(name);
        for (const name of removedResources) held.delete(name);
        send({ responseNonce: nonce });
      }
      return [...held].sort();
    };
    expect(step({})).toEqual(["Service/shop/a", "Service/shop/b"]);
    expect(step({ resourceNamesSubscribe: ["Service/shop/a"] })).toContain("Service/shop/a");
    // What only the wildcard brought is the client's to forget.
    step({ resourceNamesUnsubscribe: ["*"] });
    held.delete("Service/shop/b");
    expect(step({ resourceNamesSubscribe: ["Service/shop/a"] })).toEqual(["Service/shop/a"]);
    expect(step({ resourceNamesSubscribe: ["*"] })).toEqual(["Service/shop/a", "Service/shop/b"]);
  });

  it("carries no other", async () => {
    const { send, code } = await open(cluster);
    send({ typeUrl: listener });
    expect(code()).toBe(3);
  });
});

describe("a workload that registers itself", () => {
  const GROUP = `
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: { name: vms, namespace: shop }
spec: { template: { serviceAccount: vm }, probe: { tcpSocket: { port: 8080 } } }
`;
  async function withGroup() {
    const written = new Map<string, Resource>();
    let revision = 10;
    const feed: { deliver: (upserted: readonly Resource[], removed: readonly string[]) => void } = { deliver() {} };
    const parts = await started({
      writer: {
        write: async ({ upserted, removed }) => {
          for (const object of upserted) written.set(keyOf(object), object);
          for (const key of removed) written.delete(key);
          feed.deliver(upserted, removed);
        },
      },
    });
    feed.deliver = (upserted, removed) => {
      parts.config.upsert(++revision, ...upserted);
      if (removed.length > 0) parts.config.remove(++revision, ...removed);
    };
    parts.config.upsert(2, ...objectsOf(GROUP));
    await parts.advance(20);
    const entry = () => written.get("WorkloadEntry/shop/vms-127.64.0.9");
    return { ...parts, entry };
  }
  const metadata = { AUTO_REGISTER_GROUP: "vms" };

  it("has an entry while it is connected, with the health its agent reports", async () => {
    const { pilot, entry, advance } = await withGroup();
    const proxy = new AutoProxy(pilot.ads, "vm", undefined, metadata);
    await proxy.subscribe();
    expect(entry()).toMatchObject({ spec: { address: "127.64.0.9", serviceAccount: "vm" } });
    proxy.send({ typeUrl: HEALTH_TYPE });
    await settle();
    expect(entry()).toMatchObject({ status: { conditions: [{ type: "Healthy", status: "True" }] } });
    proxy.send({ typeUrl: HEALTH_TYPE, errorDetail: { code: 13, message: "refused", details: [] } });
    await settle();
    expect(entry()).toMatchObject({ status: { conditions: [{ status: "False", message: "refused" }] } });
    expect(proxy.closed).toBeUndefined();
    expect(pilot.status().proxies[0]?.types).not.toHaveProperty([HEALTH_TYPE]);
    proxy.disconnect();
    await advance(10_000);
    expect(entry()).toBeUndefined();
  });

  it("is refused when there is no such group", async () => {
    const { pilot } = await withGroup();
    const proxy = new AutoProxy(pilot.ads, "vm", undefined, { AUTO_REGISTER_GROUP: "none" });
    await proxy.subscribe();
    expect(proxy.closed?.code).toBe(5);
  });
});
