import { manualClock } from "@lateen/test-support";
import { describe, expect, it } from "vitest";
import { xdsTypes } from "../resource-types.ts";
import { FakeSource } from "../testing/fake-source.ts";
import { SotwPeer } from "../testing/sotw-peer.ts";

const clock = manualClock();
const { cluster, endpoint, listener, route } = xdsTypes;

function smallWorld(): FakeSource {
  const source = new FakeSource();
  source.set({
    [cluster]: { a: "1", b: "1" },
    [endpoint]: { a: "1", b: "1" },
    [listener]: { l: "1" },
    [route]: { r: "1" },
  });
  return source;
}

function synced(source: FakeSource): SotwPeer {
  const peer = new SotwPeer(source, clock);
  for (const [type, names] of Object.entries({ C: [], E: ["a", "b"], L: [], R: ["r"] })) {
    peer.subscribe(type, names);
    peer.drain();
  }
  return peer;
}

describe("a state-of-the-world stream", () => {
  it("lists everything of clusters and listeners, and what is named of the rest", () => {
    const peer = new SotwPeer(smallWorld(), clock);
    peer.subscribe("C");
    expect(peer.drain()).toEqual(["C a@1 b@1"]);
    peer.subscribe("E", ["b"]);
    expect(peer.drain()).toEqual(["E b@1"]);
    peer.subscribe("L");
    expect(peer.drain()).toEqual(["L l@1"]);
  });

  it("lists all clusters when one changed, but only the changed endpoints", () => {
    const source = smallWorld();
    const peer = synced(source);
    source.set({ [endpoint]: { a: "2", b: "1" } });
    peer.stream.push();
    expect(peer.drain()).toEqual(["E a@2"]);
    source.set({ [cluster]: { a: "1", b: "2" } });
    peer.stream.push();
    expect(peer.drain()).toEqual(["C a@1 b@2", "E b@1"]);
  });

  it("goes on listing a cluster that is gone until nothing can refer to it", () => {
    const source = smallWorld();
    const peer = synced(source);
    source.set({ [cluster]: { a: "1", c: "1" }, [endpoint]: { a: "1", c: "1" }, [route]: { r: "2" } });
    peer.stream.push();
    expect(peer.take()).toEqual(["C a@1 c@1 b@1"]);
    peer.answer("C");
    peer.subscribe("E", ["a", "b", "c"]);
    expect(peer.drain()).toEqual(["R r@2", "E c@1", "C a@1 c@1"]);
  });

  it("sends nothing when nothing changed", () => {
    const source = smallWorld();
    const peer = synced(source);
    source.set({});
    peer.stream.push();
    expect(peer.drain()).toEqual([]);
  });

  it("answers added names and takes a shorter list for letting go", () => {
    const source = smallWorld();
    const peer = synced(source);
    peer.subscribe("E", ["a"]);
    expect(peer.drain()).toEqual([]);
    source.set({ [endpoint]: { a: "2", b: "2" } });
    peer.stream.push();
    expect(peer.drain()).toEqual(["E a@2"]);
    peer.subscribe("E", ["a", "b"]);
    expect(peer.drain()).toEqual(["E b@2"]);
  });

  it("does not take a list that became empty for everything", () => {
    const source = smallWorld();
    const peer = synced(source);
    peer.subscribe("R", []);
    source.set({ [route]: { r: "2" } });
    peer.stream.push();
    expect(peer.drain()).toEqual([]);
  });

  it("answers once more a client that asks again without being owed an answer", () => {
    const peer = synced(smallWorld());
    peer.answer("E");
    expect(peer.drain()).toEqual(["E a@1 b@1"]);
  });

  it("ignores requests with a stale nonce", () => {
    const source = smallWorld();
    const peer = synced(source);
    source.set({ [cluster]: { a: "2", b: "1" } });
    peer.stream.push();
    peer.answer("C", undefined, "0.0");
    expect(peer.stream.status().clean).toBe(false);
    expect(peer.drain()).toEqual(["C a@2 b@1", "E a@1"]);
    expect(peer.stream.status().clean).toBe(true);
  });

  it("does not repeat what was refused until it changes", () => {
    const source = smallWorld();
    const peer = synced(source);
    source.set({ [listener]: { l: "2" } });
    peer.stream.push();
    expect(peer.take()).toEqual(["L l@2"]);
    peer.answer("L", "l: bad filter");
    peer.stream.push();
    expect(peer.drain()).toEqual([]);
    expect(peer.stream.status().types[listener]?.nack).toMatchObject({ reason: "l: bad filter", names: ["l"] });
    source.set({ [listener]: { l: "3" } });
    peer.stream.push();
    expect(peer.drain()).toEqual(["L l@3"]);
    expect(peer.stream.status().clean).toBe(true);
  });

  it("accepts the nonce of an earlier stream on the first request", () => {
    const peer = new SotwPeer(smallWorld(), clock);
    peer.answer("C", undefined, "17.4");
    expect(peer.drain()).toEqual(["C a@1 b@1"]);
  });

  it("keeps listing a named cluster of which it cannot be said whether it exists", () => {
    const source = smallWorld();
    const peer = new SotwPeer(source, clock);
    peer.subscribe("C", ["a", "b"]);
    expect(peer.drain()).toEqual(["C a@1 b@1"]);
    source.unsure.set(cluster, new Set(["a"]));
    source.set({ [cluster]: { a: "2", b: "2" } });
    peer.stream.push();
    expect(peer.drain()).toEqual(["C b@2 a@1"]);
  });
});
