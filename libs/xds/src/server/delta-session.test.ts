import { manualClock } from "@lateen/test-support";
import { describe, expect, it } from "vitest";
import { xdsTypes } from "../resource-types.ts";
import { DeltaPeer } from "../testing/delta-peer.ts";
import { FakeSource } from "../testing/fake-source.ts";

const clock = manualClock();
const { cluster, endpoint, listener, route } = xdsTypes;

/** A source with one of everything. */
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

/** A client that runs everything the source has. */
function synced(source: FakeSource): DeltaPeer {
  const peer = new DeltaPeer(source, clock);
  for (const [type, names] of Object.entries({ C: [], E: ["a", "b"], L: [], R: ["r"] })) {
    peer.subscribe(type, names);
    peer.drain();
  }
  return peer;
}

describe("subscribing", () => {
  it("answers a wildcard with everything and a name with that resource", () => {
    const peer = new DeltaPeer(smallWorld(), clock);
    peer.subscribe("C");
    expect(peer.drain()).toEqual(["C +a@1 +b@1"]);
    peer.subscribe("E", ["b"]);
    expect(peer.drain()).toEqual(["E +b@1"]);
  });

  it("answers a wildcard on nothing with an empty response", () => {
    const peer = new DeltaPeer(new FakeSource(), clock);
    peer.subscribe("C");
    expect(peer.drain()).toEqual(["C"]);
  });

  it("does not take an empty list of names for everything", () => {
    const peer = new DeltaPeer(smallWorld(), clock);
    peer.subscribe("E");
    peer.subscribe("R");
    expect(peer.drain()).toEqual([]);
  });

  it("tells a client that a name does not exist, and sends it when it does", () => {
    const source = smallWorld();
    const peer = new DeltaPeer(source, clock);
    peer.subscribe("E", ["later"]);
    expect(peer.drain()).toEqual(["E -later"]);
    source.set({ [endpoint]: { later: "1" } });
    peer.stream.push();
    expect(peer.drain()).toEqual(["E +later@1"]);
  });

  it("sends again what is asked for again", () => {
    const peer = synced(smallWorld());
    peer.subscribe("E", ["a"]);
    expect(peer.drain()).toEqual(["E +a@1"]);
  });

  it("sends no more of what was let go", () => {
    const source = smallWorld();
    const peer = synced(source);
    peer.unsubscribe("E", ["a"]);
    source.set({ [endpoint]: { a: "2", b: "2" } });
    peer.stream.push();
    expect(peer.drain()).toEqual(["E +b@2"]);
  });

  it("sends only what changed, and nothing when nothing did", () => {
    const source = smallWorld();
    const peer = synced(source);
    source.set({ [cluster]: { a: "1", b: "2" } });
    peer.stream.push();
    // The endpoints of a changed cluster come along: the client may wait for them.
    expect(peer.drain()).toEqual(["C +b@2", "E +b@1"]);
    source.set({});
    peer.stream.push();
    expect(peer.drain()).toEqual([]);
  });
});

describe("reconnecting with versions", () => {
  it("sends the differences and the names of what is gone", () => {
    const source = smallWorld();
    const peer = new DeltaPeer(source, clock);
    peer.subscribe("C", [], { a: "1", b: "0", gone: "1" });
    peer.subscribe("L", [], { l: "1", old: "7" });
    peer.subscribe("R", ["r"], { r: "0" });
    expect(peer.drain()).toEqual(["C +b@1", "L -old", "R +r@1", "C -gone"]);
  });

  it("sends nothing to a client that has it all", () => {
    const peer = new DeltaPeer(smallWorld(), clock);
    peer.subscribe("C", ["*"], { a: "1", b: "1" });
    peer.subscribe("E", ["a", "b"], { a: "1", b: "1" });
    peer.subscribe("L", ["*"], { l: "1" });
    peer.subscribe("R", ["r"], { r: "1" });
    expect(peer.drain()).toEqual([]);
    expect(peer.stream.status().clean).toBe(true);
  });

  it("keeps clusters that are gone until the client asked for what may use them, or had its time to", () => {
    const peer = new DeltaPeer(smallWorld(), clock);
    peer.subscribe("C", [], { a: "1", b: "1", gone: "1" });
    expect(peer.drain()).toEqual([]);
    peer.stream.introduced();
    expect(peer.drain()).toEqual(["C -gone"]);
  });
});

describe("order", () => {
  it("makes before it breaks: new clusters first, routes next, old clusters last", () => {
    const source = smallWorld();
    const peer = synced(source);
    source.set({ [cluster]: { a: "1", c: "1" }, [endpoint]: { a: "1", c: "1" }, [route]: { r: "2" } });
    peer.stream.push();
    expect(peer.take()).toEqual(["C +c@1"]);
    peer.subscribe("E", ["c"]);
    peer.answer("C");
    expect(peer.take()).toEqual(["E +c@1"]);
    peer.unsubscribe("E", ["b"]);
    peer.answer("E");
    expect(peer.take()).toEqual(["R +r@2"]);
    peer.answer("R");
    expect(peer.take()).toEqual(["C -b"]);
    peer.answer("C");
    expect(peer.take()).toEqual([]);
  });

  it("lets no route overtake a cluster that waits behind an unanswered response", () => {
    const source = smallWorld();
    const peer = synced(source);
    source.set({ [cluster]: { a: "2", b: "1" } });
    peer.stream.push();
    expect(peer.take()).toEqual(["C +a@2", "E +a@1"]);
    peer.answer("E");
    source.set({ [cluster]: { a: "2", b: "1", c: "1" }, [route]: { r: "2" } });
    peer.stream.push();
    expect(peer.take()).toEqual([]);
    peer.answer("C");
    expect(peer.take()).toEqual(["C +c@1"]);
    peer.answer("C");
    expect(peer.take()).toEqual(["R +r@2"]);
  });

  it("keeps clusters while a listener that may use them is refused", () => {
    const source = smallWorld();
    const peer = synced(source);
    source.set({ [cluster]: { a: "1" }, [listener]: { l: "2" } });
    peer.stream.push();
    expect(peer.take()).toEqual(["L +l@2"]);
    peer.answer("L", "l: no such filter");
    expect(peer.drain()).toEqual([]);
    source.set({ [listener]: { l: "3" } });
    peer.stream.push();
    expect(peer.drain()).toEqual(["L +l@3", "C -b"]);
  });
});

describe("one response at a time", () => {
  it("merges what changes while a response is not answered", () => {
    const source = smallWorld();
    const peer = synced(source);
    for (const version of ["2", "3", "4"]) {
      source.set({ [endpoint]: { a: version, b: "1" } });
      peer.stream.push();
    }
    expect(peer.take()).toEqual(["E +a@2"]);
    peer.answer("E");
    expect(peer.drain()).toEqual(["E +a@4"]);
  });

  it("waits while the transport is full", () => {
    const source = smallWorld();
    const peer = synced(source);
    peer.writable = false;
    source.set({ [cluster]: { a: "2", b: "1" }, [listener]: { l: "2" } });
    peer.stream.push();
    expect(peer.take()).toEqual(["C +a@2"]);
    peer.answer("C");
    expect(peer.take()).toEqual([]);
    peer.writable = true;
    peer.stream.drained();
    expect(peer.drain()).toEqual(["E +a@1", "L +l@2"]);
  });

  it("cuts a large answer and sends the rest before what depends on it", () => {
    const source = new FakeSource();
    source.set({ [cluster]: { a: "1", b: "1", c: "1" } }, 1000);
    source.set({ [listener]: { l: "1" } });
    const peer = new DeltaPeer(source, clock, { responseBytes: 1500 });
    peer.subscribe("C");
    peer.subscribe("L");
    expect(peer.drain()).toEqual(["C +a@1", "C +b@1", "C +c@1", "L +l@1"]);
  });

  it("ignores an answer to another response than the last", () => {
    const source = smallWorld();
    const peer = new DeltaPeer(source, clock);
    peer.subscribe("C");
    peer.take();
    peer.send({ typeUrl: cluster, responseNonce: "stale" });
    expect(peer.stream.status().types[cluster]?.acked).toBeUndefined();
    peer.answer("C");
    expect(peer.stream.status().types[cluster]?.acked).toBeDefined();
  });
});

describe("refusals", () => {
  it("records what was refused, does not send it again, and forgets it when it changes", () => {
    const source = smallWorld();
    const peer = new DeltaPeer(source, clock);
    peer.subscribe("C");
    peer.take();
    peer.answer("C", "cluster b: bad timeout");
    const { nack } = peer.stream.status().types[cluster]!;
    expect(nack).toMatchObject({ reason: "cluster b: bad timeout", names: ["b"] });
    peer.stream.push();
    expect(peer.drain()).toEqual([]);
    expect(peer.stream.status().clean).toBe(false);
    source.set({ [cluster]: { a: "1", b: "2" } });
    peer.stream.push();
    expect(peer.drain()).toEqual(["C +b@2"]);
    expect(peer.stream.status()).toMatchObject({ clean: true });
  });

  it("keeps both ends of a long reason, which the whole resource may precede", () => {
    const source = new FakeSource();
    source.set({ [cluster]: { b: "1" } });
    const peer = new DeltaPeer(source, clock);
    peer.subscribe("C");
    peer.take();
    peer.answer("C", `start ${"x".repeat(5_000)} end`);
    const { nack } = peer.stream.status().types[cluster]!;
    expect(nack?.reason).toMatch(/^start x+ … x+ end$/);
    expect(nack?.reason).toHaveLength(1024);
  });

  const named: readonly [string, string, readonly string[]][] = [
    ["one of several", "outbound|80||b.x: bad", ["outbound|80||b.x"]],
    ["a name that starts like another", "outbound|80||b.x.y: bad", ["outbound|80||b.x.y"]],
    ["two", "'outbound|80||b.x' and 'outbound|80||b.x.y'.", ["outbound|80||b.x", "outbound|80||b.x.y"]],
    ["a name at the end of a sentence", "cannot use outbound|80||b.x.", ["outbound|80||b.x"]],
    ["none", "out of memory", ["outbound|80||b.x", "outbound|80||b.x.y"]],
  ];
  it.each(named)("blames the resources that the reason names: %s", (_title, reason, names) => {
    const source = new FakeSource();
    source.set({ [cluster]: { "outbound|80||b.x": "1", "outbound|80||b.x.y": "1" } });
    const peer = new DeltaPeer(source, clock);
    peer.subscribe("C");
    peer.take();
    peer.answer("C", reason);
    expect(peer.stream.status().types[cluster]?.nack?.names).toEqual(names);
  });

  it("gives those that were refused in company another chance once something else was accepted", () => {
    const source = smallWorld();
    const peer = new DeltaPeer(source, clock);
    peer.subscribe("E", ["a", "b"]);
    peer.take();
    peer.answer("E", "one of them is bad");
    expect(peer.drain()).toEqual([]);
    source.set({ [endpoint]: { a: "2", b: "1" } });
    peer.stream.push();
    expect(peer.take()).toEqual(["E +a@2"]);
    peer.answer("E");
    expect(peer.take()).toEqual(["E +b@1"]);
    peer.answer("E", "still bad");
    // Alone, it was at fault itself: it is not sent again until it changes.
    source.set({ [endpoint]: { a: "3", b: "1" } });
    peer.stream.push();
    expect(peer.drain()).toEqual(["E +a@3"]);
  });

  it("settles at a revision only when everything asked for is acknowledged", () => {
    const source = smallWorld();
    const peer = synced(source);
    source.set({ [cluster]: { a: "2", b: "1" } });
    peer.stream.push();
    peer.take();
    expect(peer.settled).not.toContain(source.revision());
    peer.answer("C");
    peer.drain();
    peer.answer("E");
    expect(peer.settled.at(-1)).toBe(source.revision());
  });

  it("tells again when it settles after the client had asked for more, at the same revision", () => {
    const source = smallWorld();
    source.set({ [endpoint]: { a: "1", b: "1", later: "1" } });
    const peer = synced(source);
    const known = peer.settled.length;
    peer.subscribe("E", ["later"]);
    expect(peer.settled).toHaveLength(known);
    expect(peer.drain()).toEqual(["E +later@1"]);
    expect(peer.settled.slice(known)).toEqual([source.revision()]);
  });
});

describe("a source that cannot answer", () => {
  it("leaves what the client holds and answers later", () => {
    const source = smallWorld();
    const peer = synced(source);
    source.broken.add(cluster);
    source.set({ [cluster]: {}, [listener]: { l: "2" } });
    peer.stream.push();
    // Listeners may refer to clusters that could not be sent.
    expect(peer.drain()).toEqual([]);
    source.broken.clear();
    source.set({ [cluster]: { a: "2", b: "1" } });
    peer.stream.push();
    expect(peer.drain()).toEqual(["C +a@2", "E +a@1", "L +l@2"]);
  });

  it("answers a fresh client once it can", () => {
    const source = smallWorld();
    source.broken.add(cluster);
    const peer = new DeltaPeer(source, clock);
    peer.subscribe("C");
    expect(peer.drain()).toEqual([]);
    source.broken.clear();
    peer.stream.push();
    expect(peer.drain()).toEqual(["C +a@1 +b@1"]);
  });

  it("does not report a name as gone of which it cannot be said", () => {
    const source = smallWorld();
    const peer = synced(source);
    source.unsure.set(endpoint, new Set(["a"]));
    source.set({ [endpoint]: { a: "2", b: "2" } });
    peer.stream.push();
    expect(peer.drain()).toEqual(["E +b@2"]);
    expect(peer.stream.status().clean).toBe(false);
    source.unsure.clear();
    source.set({});
    peer.stream.push();
    expect(peer.drain()).toEqual(["E +a@2"]);
    expect(peer.stream.status().clean).toBe(true);
  });
});

describe("bounds", () => {
  const long = "x".repeat(2000);
  const cases: readonly [string, (peer: DeltaPeer) => void, number][] = [
    ["too many types", (peer) => ["t1", "t2", "t3"].forEach((type) => void peer.subscribe(type)), 8],
    ["too many names", (peer) => peer.subscribe("E", ["1", "2", "3", "4", "5"]), 8],
    ["a name that is too long", (peer) => peer.subscribe("E", [long]), 8],
    ["too many claimed versions", (peer) => peer.subscribe("C", [], { a: "", b: "", c: "", d: "", e: "" }), 8],
    ["too many requests", (peer) => Array.from({ length: 20 }, () => peer.subscribe("C")), 8],
    ["no type", (peer) => peer.send({}), 3],
  ];
  it.each(cases)("ends the stream on %s", (_title, act, code) => {
    const peer = new DeltaPeer(smallWorld(), clock, { types: 2, names: 4, requestBurst: 10, requestsPerSecond: 1 });
    act(peer);
    expect(peer.closed?.code).toBe(code);
  });
});
