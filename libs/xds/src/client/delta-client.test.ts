import { Scope, silentLogger } from "@lateen/kernel";
import type { AdsClientEvents } from "@lateen/ports";
import { Node } from "@lateen/proto/envoy/config/core/v3/base";
import { type DeltaDiscoveryRequest, DeltaDiscoveryResponse } from "@lateen/proto/envoy/service/discovery/v3/discovery";
import { describe, expect, it } from "vitest";
import { HEALTH_TYPE } from "../resource-types.ts";
import { letterOf, short } from "../testing/delta-peer.ts";
import { createXdsClient, type XdsClientOptions } from "./delta-client.ts";
import type { XdsUpdate } from "./update.ts";

const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

/** A client whose server is the test. */
function start(options: Partial<XdsClientOptions> = {}) {
  const scope = new Scope();
  const sent: DeltaDiscoveryRequest[] = [];
  const updates: XdsUpdate[] = [];
  let events: AdsClientEvents | undefined;
  const client = createXdsClient({
    node: Node.fromPartial({ id: "n" }),
    scope,
    logger: silentLogger,
    connect: (_scope, given) => {
      events = given;
      return { send: (request) => void sent.push(request) };
    },
    onUpdate: async (update) => {
      updates.push(update);
      return [];
    },
    ...options,
  });
  return {
    client,
    scope,
    updates,
    get events() {
      if (events === undefined) throw new Error("not connected");
      return events;
    },
    /** What was sent since the last look: `C +a -b held{c:1}`, `C ack`, `C nack reason`; `(node)` where it is named. */
    sent(): readonly string[] {
      return sent.splice(0).map(describeRequest);
    },
    receive(type: string, nonce: string, versions: Readonly<Record<string, string>>, removed: readonly string[] = []) {
      this.events.received(
        DeltaDiscoveryResponse.fromPartial({
          typeUrl: short[type] ?? "",
          nonce,
          removedResources: [...removed],
          resources: Object.entries(versions).map(([name, version]) => ({ name, version, resource: { typeUrl: "t" } })),
        }),
      );
      return settle();
    },
  };
}

function describeRequest(request: DeltaDiscoveryRequest): string {
  if (request.typeUrl === HEALTH_TYPE) return `istio.v1.HealthInformation ${request.errorDetail?.message ?? "well"}`;
  const held = Object.entries(request.initialResourceVersions).map(([name, version]) => `${name}:${version}`);
  const answer =
    request.errorDetail === undefined ? `ack ${request.responseNonce}` : `nack ${request.errorDetail.message}`;
  return [
    ...(request.node === undefined ? [] : ["(node)"]),
    letterOf(request.typeUrl),
    ...request.resourceNamesSubscribe.map((name) => `+${name}`),
    ...request.resourceNamesUnsubscribe.map((name) => `-${name}`),
    ...(held.length === 0 ? [] : [`held{${held.join(",")}}`]),
    ...(request.responseNonce === "" ? [] : [answer]),
  ].join(" ");
}

describe("a delta client", () => {
  it("asks in the order of dependence, naming its node once", () => {
    const { client, events, sent } = start();
    client.subscribe(short.L!, "*");
    client.subscribe(short.E!, ["a"]);
    client.subscribe(short.C!, "*");
    events.opened();
    expect(sent()).toEqual(["(node) C +*", "E +a", "L +*"]);
  });

  it("reports health when it changes, and again on every stream once the server knows who reports", () => {
    const { client, events, sent } = start();
    client.reportHealth({ healthy: false, message: "refused" });
    events.opened();
    expect(sent()).toEqual([]);
    client.subscribe(short.C!, "*");
    expect(sent()).toEqual(["(node) C +*", "istio.v1.HealthInformation refused"]);
    client.reportHealth({ healthy: true, message: "" });
    expect(sent()).toEqual(["istio.v1.HealthInformation well"]);
    events.disconnected("gone");
    events.opened();
    expect(sent()).toEqual(["(node) C +*", "istio.v1.HealthInformation well"]);
  });

  it("sends only what changed in what it wants", () => {
    const { client, events, sent } = start();
    events.opened();
    client.subscribe(short.E!, ["a", "b"]);
    client.subscribe(short.E!, ["b", "c"]);
    client.subscribe(short.E!, ["b", "c"]);
    expect(sent()).toEqual(["(node) E +a +b", "E +c -a"]);
  });

  it("acknowledges what was taken over and refuses, by name, what was not", async () => {
    const test = start({
      onUpdate: async ({ upserted }) =>
        upserted.filter(({ name }) => name === "b").map(({ name }) => ({ name, reason: "no such thing" })),
    });
    test.client.subscribe(short.C!, "*");
    test.events.opened();
    test.sent();
    await test.receive("C", "1", { a: "1", b: "1" });
    await test.receive("C", "2", { a: "2" });
    expect(test.sent()).toEqual(["C nack b: no such thing", "C ack 2"]);
    expect([...test.client.versions(short.C!)]).toEqual([["a", "2"]]);
  });

  it("refuses the whole update when taking it over throws", async () => {
    const test = start({
      onUpdate: async () => {
        throw new Error("disk full");
      },
    });
    test.client.subscribe(short.C!, "*");
    test.events.opened();
    test.sent();
    await test.receive("C", "1", { a: "1" });
    expect(test.sent()).toEqual(["C nack a: disk full"]);
  });

  it("comes back with what it holds, and with what it held before it started", async () => {
    const test = start({ initialVersions: new Map([[short.C!, new Map([["old", "7"]])]]) });
    test.client.subscribe(short.C!, "*");
    test.events.opened();
    expect(test.sent()).toEqual(["(node) C +* held{old:7}"]);
    await test.receive("C", "1", { a: "1" }, ["old"]);
    test.sent();
    test.events.disconnected("cut");
    test.events.opened();
    expect(test.sent()).toEqual(["(node) C +* held{a:1}"]);
  });

  it("does not answer on a new stream what came on an old one, but keeps it", async () => {
    let finish: (() => void) | undefined;
    const test = start({
      onUpdate: () =>
        new Promise((resolve) => {
          finish = () => resolve([]);
        }),
    });
    test.client.subscribe(short.C!, "*");
    test.events.opened();
    await test.receive("C", "1", { a: "1" });
    test.events.disconnected("cut");
    test.events.opened();
    test.sent();
    finish?.();
    await settle();
    expect(test.sent()).toEqual([]);
    expect([...test.client.versions(short.C!)]).toEqual([["a", "1"]]);
  });

  it("takes one update over at a time, in the order of arrival", async () => {
    const order: string[] = [];
    const finish: (() => void)[] = [];
    const test = start({
      onUpdate: (update) => {
        order.push(`start ${update.nonce}`);
        return new Promise((resolve) => {
          finish.push(() => {
            order.push(`end ${update.nonce}`);
            resolve([]);
          });
        });
      },
    });
    test.client.subscribe(short.C!, "*");
    test.client.subscribe(short.L!, "*");
    test.events.opened();
    await test.receive("C", "1", { a: "1" });
    await test.receive("L", "2", { l: "1" });
    finish[0]?.();
    await settle();
    finish[1]?.();
    expect(order).toEqual(["start 1", "end 1", "start 2", "end 2"]);
  });

  it("knows which names have no answer yet", async () => {
    const test = start();
    test.client.subscribe(short.E!, ["a", "b", "c"]);
    test.events.opened();
    expect(test.client.unanswered(short.E!)).toEqual(["a", "b", "c"]);
    await test.receive("E", "1", { a: "1" }, ["b"]);
    expect(test.client.unanswered(short.E!)).toEqual(["c"]);
  });

  it("leaves out what it does not want any more", async () => {
    const test = start();
    test.client.subscribe(short.E!, ["a", "b"]);
    test.events.opened();
    test.client.subscribe(short.E!, ["b"]);
    await test.receive("E", "1", { a: "1", b: "1" });
    expect(test.updates[0]?.upserted.map(({ name }) => name)).toEqual(["b"]);
  });

  it("does nothing after its scope closed", async () => {
    const test = start();
    test.client.subscribe(short.C!, "*");
    test.events.opened();
    await test.scope.close();
    await test.receive("C", "1", { a: "1" });
    expect(test.updates).toEqual([]);
  });
});
