import { resourceKey } from "@lateen/mesh-model";
import { eventually } from "@lateen/test-support";
import { describe, expect, it, onTestFinished } from "vitest";
import { testCluster } from "../testing/cluster.ts";
import { publishStatuses } from "./publish-statuses.ts";
import { kubernetesStatusWriter } from "./status-writer.ts";

const ROUTES = {
  group: "gateway.networking.k8s.io",
  versions: ["v1"],
  plural: "httproutes",
  kind: "HTTPRoute",
  namespaced: true,
  status: true,
};
const KEY = resourceKey("HTTPRoute", "shop", "cart");
const OURS = "istio.io/gateway-controller";
const parent = (controllerName: string, name: string, status: string, time?: string) => ({
  controllerName,
  parentRef: { name },
  conditions: [{ type: "Accepted", status, reason: "R", message: "", ...(time ? { lastTransitionTime: time } : {}) }],
});

async function route(status: unknown) {
  const cluster = await testCluster(onTestFinished, { resources: [ROUTES] });
  const object = { apiVersion: "gateway.networking.k8s.io/v1", kind: "HTTPRoute" };
  cluster.server.apply({ ...object, metadata: { name: "cart", namespace: "shop" }, spec: {}, status });
  const found = () => cluster.server.get("gateway.networking.k8s.io/v1", "HTTPRoute", "cart", "shop");
  const patches = () => cluster.server.requests.filter(({ verb }) => verb === "patch");
  return { ...cluster, writer: kubernetesStatusWriter(cluster.api), status: () => found()?.status, patches };
}

describe("statuses", () => {
  it("are written in place of our own, beside those of others", async () => {
    const theirs = parent("other.example/c", "front", "False", "t0");
    const { writer, status } = await route({ parents: [theirs, parent(OURS, "old", "True", "t0")] });
    await writer.writeStatus(KEY, { parents: [parent(OURS, "front", "True", "t1")] });
    expect(status()).toEqual({ parents: [theirs, parent(OURS, "front", "True", "t1")] });
  });

  it("keep the time of conditions that are as they were", async () => {
    const { writer, status, patches } = await route({ parents: [parent(OURS, "front", "True", "t0")] });
    await writer.writeStatus(KEY, { parents: [parent(OURS, "front", "True", "t9")] });
    expect(patches()).toHaveLength(0);
    await writer.writeStatus(KEY, { parents: [parent(OURS, "front", "False", "t9")] });
    expect(status()).toEqual({ parents: [parent(OURS, "front", "False", "t9")] });
  });

  it("are written once, and not again while they say the same", async () => {
    const { writer, server, patches } = await route(undefined);
    const ours = { parents: [parent(OURS, "front", "True", "t1")] };
    await writer.writeStatus(KEY, ours);
    const asked = server.requests.length;
    await writer.writeStatus(KEY, ours);
    expect([patches().length, server.requests.length]).toEqual([1, asked]);
    expect(patches()[0]?.subresource).toBe("status");
  });

  it("of conditions alone leave those of others", async () => {
    const { writer, status } = await route({ conditions: [{ type: "Theirs", status: "True" }] });
    const ours = { type: "Reconciled", status: "True", reason: "", message: "", lastTransitionTime: "t" } as const;
    await writer.write(KEY, [ours]);
    expect(status()).toEqual({ conditions: [{ type: "Theirs", status: "True" }, ours] });
  });

  it("are written on top of what somebody else wrote at the same time", async () => {
    const { writer, server, status } = await route({});
    let once = true;
    server.fault(({ verb }) => {
      if (verb !== "patch" || !once) return undefined;
      once = false;
      const found = server.get("gateway.networking.k8s.io/v1", "HTTPRoute", "cart", "shop");
      server.apply({ ...found, status: { parents: [parent("other.example/c", "x", "True")] } });
      return undefined;
    });
    await writer.writeStatus(KEY, { parents: [parent(OURS, "front", "True")] });
    expect(status()).toEqual({ parents: [parent("other.example/c", "x", "True"), parent(OURS, "front", "True")] });
  });

  it("of objects that are gone are nobody's", async () => {
    const { writer } = await route({});
    await writer.writeStatus(resourceKey("HTTPRoute", "shop", "gone"), { parents: [] });
  });
});

describe("statuses of a mesh", () => {
  it("are written as they change, those of other controllers never, and again after a failure", async () => {
    const { writer, status, scope, server, logger } = await route({});
    let version = 1;
    let ours: Readonly<Record<string, unknown>> = { parents: [] };
    const waiting = { type: "Accepted", status: "Unknown", reason: "Pending", message: "" };
    const statuses = () => ({
      [KEY]: ours,
      "HTTPRoute/shop/foreign": { conditions: [waiting] },
      "HTTPRoute/shop/other": { conditions: [{ ...waiting, reason: "Invalid" }] },
    });
    const source = { version: () => version, statuses };
    const asked = (name: string) => server.requests.filter((request) => request.name === name).length;
    void publishStatuses({ writer, source, scope, logger, everyMs: 5, retryMs: 5 });
    await eventually("the first look", async () => (asked("cart") > 0 && asked("other") > 0 ? true : undefined));
    expect([asked("foreign"), status()]).toEqual([0, {}]);
    let failures = 2;
    server.fault(({ verb }) => (verb === "patch" && failures-- > 0 ? { status: 403 } : undefined));
    ours = { parents: [parent(OURS, "front", "True", "t")] };
    version++;
    await eventually("the status", async () => (JSON.stringify(status()) === JSON.stringify(ours) ? true : undefined));
    expect(logger.of("status.not_written").length).toBeGreaterThan(0);
    expect(asked("foreign")).toBe(0);
  });
});
