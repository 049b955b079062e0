import type { RegistryObject } from "@lateen/ports";
import { describe, expect, it, onTestFinished } from "vitest";
import { testCluster } from "../testing/cluster.ts";
import { Collector } from "../testing/collector.ts";
import { namespace, node, pod, service, slice } from "../testing/objects.ts";
import { kubernetesRegistry } from "./kubernetes-registry.ts";

async function watching(prepare: (cluster: Awaited<ReturnType<typeof testCluster>>) => void = () => undefined) {
  const cluster = await testCluster(onTestFinished);
  cluster.server.apply(
    namespace("shop", { team: "a" }),
    node("n1", "zone-1"),
    service("cart"),
    slice("cart", ["10.1.0.1"]),
    pod("cart", "10.1.0.1"),
  );
  prepare(cluster);
  const collector = new Collector<RegistryObject>();
  const started = kubernetesRegistry(cluster.api, cluster.options).watch(cluster.scope, (delta) => {
    const upserted = delta.upserted.map(
      (object) => [`${object.kind}/${object.metadata.namespace}/${object.metadata.name}`, object] as const,
    );
    const changes = new Map<string, RegistryObject | undefined>(upserted);
    for (const key of delta.removed) changes.set(key, undefined);
    collector.receive({ snapshot: delta.snapshot, changes });
  });
  return { ...cluster, collector, started };
}

describe("what runs in a cluster", () => {
  it("comes as one snapshot of all kinds, reduced to what a mesh reads", async () => {
    const { collector, started } = await watching();
    await started;
    expect(collector.snapshots).toBe(1);
    expect(collector.keys).toEqual([
      "EndpointSlice/shop/cart-x1",
      "Namespace//shop",
      "Node//n1",
      "Pod/shop/cart",
      "Service/shop/cart",
    ]);
    expect(collector.state.get("Pod/shop/cart")).toEqual({
      apiVersion: "v1",
      kind: "Pod",
      metadata: {
        name: "cart",
        namespace: "shop",
        labels: { app: "cart" },
        annotations: { "proxy.istio.io/config": "{}" },
        creationTimestamp: "2026-01-01T00:00:00Z",
        ownerReferences: [],
      },
      spec: {
        serviceAccountName: "cart",
        nodeName: "n1",
        containers: [{ name: "app", ports: [{ containerPort: 8080 }] }],
      },
      status: { podIP: "10.1.0.1", phase: "Running", conditions: [{ type: "Ready", status: "True" }] },
    });
    expect(collector.state.get("Node//n1")?.metadata.labels).toEqual({ "topology.kubernetes.io/zone": "zone-1" });
  });

  it("waits for the last kind", async () => {
    let refuse = true;
    const { server, collector, started } = await watching(({ server }) => {
      server.fault(({ plural }) => (plural === "nodes" && refuse ? { status: 403 } : undefined));
    });
    server.apply(service("late"));
    const asked = () => server.requests.filter(({ plural }) => plural === "nodes").length;
    while (asked() < 3) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(collector.deliveries).toEqual([]);
    refuse = false;
    await started;
    expect(collector.keys).toContain("Service/shop/late");
  });

  it("tells changes of endpoints, and nothing of heartbeats and notes", async () => {
    const { server, collector, started } = await watching();
    await started;
    server.apply({ ...node("n1", "zone-1"), status: { conditions: [{ type: "Ready", lastHeartbeatTime: "now" }] } });
    const noted = slice("cart", ["10.1.0.1"]) as { metadata: object };
    server.apply({ ...noted, metadata: { ...noted.metadata, annotations: { "endpoints.kubernetes.io/x": "t" } } });
    server.apply(slice("cart", ["10.1.0.1", "10.1.0.2"]));
    await collector.until(({ later }) => later.length > 0);
    expect(collector.later).toEqual(["+EndpointSlice/shop/cart-x1"]);
  });

  it("has no pods that have ended", async () => {
    const { server, collector, started } = await watching(({ server }) => {
      server.apply(pod("job", "10.1.0.9", { phase: "Succeeded" }));
    });
    await started;
    expect(collector.keys).not.toContain("Pod/shop/job");
    server.apply(pod("cart", "10.1.0.1", { phase: "Failed" }));
    await collector.until(({ state }) => !state.has("Pod/shop/cart"));
  });

  it("keeps the last good version of an object that cannot be read", async () => {
    const { server, collector, started, logger } = await watching();
    await started;
    server.apply(service("cart", { ports: [{ port: "many" }] }), service("other"));
    await collector.until(({ state }) => state.has("Service/shop/other"));
    expect(collector.state.get("Service/shop/cart")).toMatchObject({ spec: { ports: [{ port: 80 }] } });
    expect(logger.of("kubernetes.object_ignored")[0]).toMatchObject({ object: "Service/shop/cart" });
  });

  it("stays as it was while the API server is gone, and catches up by differences", async () => {
    const { server, collector, started } = await watching();
    await started;
    const before = collector.keys;
    await server.stop();
    server.compact();
    server.apply(slice("cart", ["10.1.0.7"]));
    server.delete("v1", "Pod", "cart", "shop");
    expect(collector.keys).toEqual(before);
    await server.start();
    await collector.until(({ later }) => later.length === 2);
    expect([...collector.later].sort()).toEqual(["+EndpointSlice/shop/cart-x1", "-Pod/shop/cart"]);
    expect(collector.snapshots).toBe(1);
  });

  it("ends with its scope, also before the first list", async () => {
    const { scope, started, collector, server } = await watching(({ server }) => {
      server.fault(() => "hang");
    });
    await scope.close();
    await started;
    expect(collector.deliveries).toEqual([]);
    expect(server.watches).toBe(0);
  });
});
