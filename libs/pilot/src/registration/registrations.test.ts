import { nodeFromProto } from "@lateen/compiler";
import { decodeText, isHealthyEntry, keyOf, type Resource, type ResourceKey } from "@lateen/mesh-model";
import type { ConfigWriter } from "@lateen/ports";
import { Node } from "@lateen/proto/envoy/config/core/v3/base";
import { manualClock, recordingLogger } from "@lateen/test-support";
import { describe, expect, it } from "vitest";
import { Registrations } from "./registrations.ts";

const GROUP = `
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: { name: vms, namespace: shop }
spec:
  metadata: { labels: { app: stock }, annotations: { owner: store } }
  template: { serviceAccount: stock, ports: { http: 8080 }, labels: { version: v1 } }
  probe: { tcpSocket: { port: 8080 } }
`;
const ENTRY = "WorkloadEntry/shop/vms-192.0.2.7" as ResourceKey;

function objectsOf(yaml: string): readonly Resource[] {
  return decodeText({ file: "t", text: yaml }).map((one) => {
    if (!one.ok) throw new Error(one.diagnostics.map(({ message }) => message).join());
    return one.object;
  });
}

/** What is kept, as configuration's owner would. */
class Kept implements ConfigWriter {
  readonly objects = new Map<ResourceKey, Resource>();
  readonly writes: string[] = [];
  refused: string | undefined;
  write: ConfigWriter["write"] = async ({ upserted, removed }) => {
    if (upserted.some((object) => keyOf(object) === this.refused)) throw new Error("not accepted");
    for (const object of upserted) this.objects.set(keyOf(object), object);
    for (const key of removed) this.objects.delete(key);
    this.writes.push(`+${upserted.length} -${removed.length}`);
  };
  entry(): Extract<Resource, { kind: "WorkloadEntry" }> | undefined {
    const entry = this.objects.get(ENTRY);
    return entry?.kind === "WorkloadEntry" ? entry : undefined;
  }
}

function node(fields: { readonly group?: string; readonly address?: string; readonly account?: string } = {}) {
  const { group = "vms", address = "192.0.2.7", account = "stock" } = fields;
  const parsed = nodeFromProto(
    Node.fromPartial({
      id: `sidecar~${address}~vm-1.shop~shop.svc.cluster.local`,
      metadata: { AUTO_REGISTER_GROUP: group, SERVICE_ACCOUNT: account, LABELS: { zone: "a" } },
      locality: { region: "west", zone: "a" },
    }),
  );
  if (!parsed.ok) throw new Error(parsed.error);
  return parsed.value;
}

const settle = () => new Promise((resolve) => setImmediate(resolve));

function start(kept = new Kept(), yaml = GROUP) {
  for (const object of objectsOf(yaml)) kept.objects.set(keyOf(object), object);
  const clock = manualClock(Date.UTC(2026, 0, 1));
  const make = (writer: ConfigWriter | undefined = kept) =>
    new Registrations({
      writer,
      clock,
      logger: recordingLogger(),
      instance: "lateen-pilot",
      graceMs: 10_000,
      reconnectMs: 60_000,
      object: (key) => kept.objects.get(key),
      objects: () => kept.objects.values(),
    });
  const advance = async (ms: number) => {
    clock.advance(ms);
    await settle();
  };
  return { kept, clock, make, advance, registrations: make() };
}

describe("a workload that registers itself", () => {
  it("gets an entry made of its group and of what it says", async () => {
    const { kept, registrations } = start();
    expect(registrations.join(1, node()).ok).toBe(true);
    await settle();
    expect(kept.entry()).toMatchObject({
      metadata: {
        labels: { app: "stock", version: "v1", zone: "a" },
        annotations: {
          owner: "store",
          "istio.io/autoRegistrationGroup": "shop/vms",
          "istio.io/workloadController": "lateen-pilot",
          "istio.io/connectedAt": "2026-01-01T00:00:00.000Z",
          "proxy.istio.io/health-checks-enabled": "true",
        },
      },
      spec: {
        address: "192.0.2.7",
        locality: "west/a",
        serviceAccount: "stock",
        ports: { http: 8080 },
        labels: { app: "stock", version: "v1", zone: "a" },
      },
    });
  });

  it("is an endpoint while it says that it is well", async () => {
    const { kept, registrations, advance } = start();
    registrations.join(1, node());
    await settle();
    const healthy = () => isHealthyEntry(kept.entry() ?? expect.fail("no entry"));
    expect(healthy()).toBe(false);
    registrations.health(1, { healthy: true, message: "" });
    await settle();
    expect(healthy()).toBe(true);
    const writes = kept.writes.length;
    registrations.health(1, { healthy: true, message: "" });
    await settle();
    expect(kept.writes).toHaveLength(writes);
    await advance(1000);
    registrations.health(1, { healthy: false, message: "connection refused" });
    await settle();
    expect(healthy()).toBe(false);
    expect(kept.entry()?.status).toMatchObject({
      conditions: [
        {
          type: "Healthy",
          status: "False",
          message: "connection refused",
          lastTransitionTime: "2026-01-01T00:00:01.000Z",
        },
      ],
    });
  });

  it("loses the entry when it has been gone for the grace time", async () => {
    const { kept, registrations, advance } = start();
    registrations.join(1, node());
    await settle();
    registrations.leave(1);
    await settle();
    expect(kept.entry()?.metadata.annotations?.["istio.io/disconnectedAt"]).toBe("2026-01-01T00:00:00.000Z");
    await advance(9999);
    expect(kept.entry()).toBeDefined();
    await advance(1);
    expect(kept.entry()).toBeUndefined();
  });

  it("keeps entry and health when it comes back in time, or before its end was noticed", async () => {
    const { kept, registrations, advance } = start();
    registrations.join(1, node());
    registrations.health(1, { healthy: true, message: "" });
    registrations.leave(1);
    await advance(5000);
    registrations.join(2, node());
    await advance(60_000);
    expect(isHealthyEntry(kept.entry() ?? expect.fail("no entry"))).toBe(true);
    expect(kept.entry()?.metadata.annotations).not.toHaveProperty(["istio.io/disconnectedAt"]);
    registrations.join(3, node());
    registrations.leave(2);
    await advance(60_000);
    expect(kept.entry()).toBeDefined();
  });

  it("is known again after a restart of the control plane; one that does not come back is forgotten", async () => {
    const { kept, registrations, make, advance } = start();
    registrations.join(1, node());
    registrations.join(2, node({ address: "192.0.2.8" }));
    registrations.health(1, { healthy: true, message: "" });
    await settle();
    registrations.close();
    registrations.leave(1);
    await settle();
    expect(kept.objects.size).toBe(3);
    const next = make();
    next.start();
    next.join(1, node());
    await advance(59_999);
    expect(kept.objects.size).toBe(3);
    await advance(1);
    expect([...kept.objects.keys()]).toEqual(["WorkloadGroup/shop/vms", ENTRY]);
    expect(isHealthyEntry(kept.entry() ?? expect.fail("no entry"))).toBe(true);
  });

  it("is written again when it could not be, one refused object holding up no other", async () => {
    const { kept, registrations, advance } = start();
    kept.refused = ENTRY;
    registrations.join(1, node());
    registrations.join(2, node({ address: "192.0.2.8" }));
    await settle();
    expect([...kept.objects.keys()]).toEqual(["WorkloadGroup/shop/vms", "WorkloadEntry/shop/vms-192.0.2.8"]);
    kept.refused = undefined;
    await advance(2000);
    expect(kept.objects.size).toBe(3);
  });
});

describe("refusals", () => {
  it.each([
    ["a group that is not there", node({ group: "other" }), 5],
    ["a group of another service account", node({ account: "thief" }), 7],
  ])("%s", async (_title, who, code) => {
    const { kept, registrations } = start();
    const joined = registrations.join(1, who);
    expect(joined.ok ? undefined : joined.error.code).toBe(code);
    await settle();
    expect(kept.writes).toEqual([]);
  });

  it("a control plane that keeps nothing", () => {
    const { kept, clock } = start();
    const none = new Registrations({
      writer: undefined,
      clock,
      logger: recordingLogger(),
      instance: "x",
      graceMs: 1,
      reconnectMs: 1,
      object: (key) => kept.objects.get(key),
      objects: () => [],
    });
    const joined = none.join(1, node());
    expect(joined.ok ? undefined : joined.error.code).toBe(14);
    expect(none.join(1, node({ group: "" })).ok).toBe(true);
  });
});

it("leaves entries alone that somebody wrote", async () => {
  const own = `${GROUP}---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: { name: vms-192.0.2.7, namespace: shop }
spec: { address: 192.0.2.7 }
`;
  const { kept, registrations, advance } = start(new Kept(), own);
  registrations.start();
  registrations.join(1, node());
  registrations.leave(1);
  await advance(120_000);
  expect(kept.writes).toEqual([]);
});
