import type { Resource } from "@lateen/mesh-model";
import type { KeySetStore } from "@lateen/ports";
import { manualClock, recordingLogger } from "@lateen/test-support";
import { afterEach, describe, expect, it } from "vitest";
import { settle } from "../testing/auto-proxy.ts";
import { KeySets } from "./key-sets.ts";

const closing: KeySets[] = [];
afterEach(() => {
  for (const keys of closing.splice(0)) keys.close();
});

const KEYS = "https://issuer.example/keys";
const FIRST = '{"keys":[{"kid":"1"}]}';

function authentication(name: string, ...jwtRules: object[]): Resource {
  const metadata = { name, namespace: "shop" };
  return {
    apiVersion: "security.istio.io/v1",
    kind: "RequestAuthentication",
    metadata,
    spec: { jwtRules },
  } as Resource;
}

/** Keeps in memory. */
function memoryStore(kept: ReadonlyMap<string, string> = new Map()) {
  const all = new Map(kept);
  const fails = { load: false, save: false };
  const store: KeySetStore = {
    load: async () => {
      if (fails.load) throw new Error("not readable");
      return new Map(all);
    },
    save: async (url, keys) => {
      if (fails.save) throw new Error("not writable");
      if (keys === undefined) all.delete(url);
      else all.set(url, keys);
    },
  };
  return { store, all, fails };
}

function follow(documents: Record<string, string>, ...objects: Resource[]) {
  return followWith(undefined, documents, ...objects);
}

function followWith(store: KeySetStore | undefined, documents: Record<string, string>, ...objects: Resource[]) {
  const clock = manualClock();
  const asked: string[] = [];
  let changes = 0;
  const keys = new KeySets({
    documents: (url) => {
      asked.push(url);
      const found = documents[url];
      return found === undefined ? Promise.reject(new Error("answered 404")) : Promise.resolve(found);
    },
    store,
    clock,
    refreshMs: 20 * 60_000,
    logger: recordingLogger(),
    changed: () => changes++,
  });
  closing.push(keys);
  keys.update({ upserted: objects, removed: [] });
  const advance = async (ms: number) => {
    clock.advance(ms);
    await settle();
  };
  return { keys, asked, advance, changes: () => changes };
}

const remote = authentication("a", { issuer: "https://issuer.example", jwksUri: KEYS });

it("fetches what is asked for, once, and says when it is there", async () => {
  const { keys, asked, changes } = follow(
    { [KEYS]: FIRST },
    remote,
    authentication("b", { issuer: "x", jwksUri: KEYS }),
  );
  expect(keys.settled).toBe(false);
  await settle();
  expect(keys.settled).toBe(true);
  expect(asked).toEqual([KEYS]);
  expect(changes()).toBe(1);
  expect(keys.take()).toEqual(new Map([[KEYS, FIRST]]));
  expect(keys.take().size).toBe(0);
});

it("finds keys below an issuer that says where they are", async () => {
  const discovery = "https://issuer.example/.well-known/openid-configuration";
  const documents = { [discovery]: JSON.stringify({ jwks_uri: KEYS }), [KEYS]: FIRST };
  const { keys } = follow(documents, authentication("a", { issuer: "https://issuer.example/" }));
  await settle();
  expect(keys.take()).toEqual(new Map([[discovery, FIRST]]));
});

it("fetches nothing for rules with keys of their own", async () => {
  const { keys, asked } = follow({}, authentication("a", { issuer: "x", jwks: FIRST }));
  await settle();
  expect([keys.settled, asked]).toEqual([true, []]);
});

it("looks again after 20 minutes, and tells only what changed", async () => {
  const documents = { [KEYS]: FIRST };
  const { keys, asked, advance, changes } = follow(documents, remote);
  await settle();
  keys.take();
  await advance(20 * 60_000);
  expect([asked.length, keys.take().size, changes()]).toEqual([2, 0, 1]);
  documents[KEYS] = '{"keys":[]}';
  await advance(20 * 60_000);
  expect(keys.take()).toEqual(new Map([[KEYS, '{"keys":[]}']]));
});

describe("keys that cannot be fetched", () => {
  it.each([
    ["are not there", {}, "answered 404"],
    ["are no key set", { [KEYS]: "[]" }, "no key set"],
    ["are no JSON", { [KEYS]: "<html>" }, "JSON"],
  ])("because they %s are reported, and the first attempt counts as made", async (_title, documents, expected) => {
    const { keys, changes } = follow(documents, remote);
    await settle();
    expect([keys.settled, changes(), keys.take().size]).toEqual([true, 1, 0]);
    expect(keys.problems()[0]?.message).toContain(expected);
    expect(keys.problems()[0]?.hint).toContain("refused");
  });

  it("are tried again after 1, 2, 4 … 60 seconds", async () => {
    const documents: Record<string, string> = {};
    const { keys, asked, advance } = follow(documents, remote);
    await settle();
    await advance(999);
    expect(asked.length).toBe(1);
    await advance(1);
    expect(asked.length).toBe(2);
    await advance(2000);
    expect(asked.length).toBe(3);
    documents[KEYS] = FIRST;
    await advance(4000);
    expect(keys.take()).toEqual(new Map([[KEYS, FIRST]]));
    expect(keys.problems()).toEqual([]);
  });

  it("leave those of before in force", async () => {
    const documents: Record<string, string> = { [KEYS]: FIRST };
    const { keys, advance } = follow(documents, remote);
    await settle();
    keys.take();
    delete documents[KEYS];
    await advance(20 * 60_000);
    expect(keys.take().size).toBe(0);
    expect(keys.problems()[0]?.hint).toContain("stay in force");
  });
});

it("forgets what nobody asks for any more", async () => {
  const { keys, asked, advance } = follow({}, remote);
  await settle();
  keys.update({ upserted: [], removed: ["RequestAuthentication/shop/a"] as never });
  expect(keys.problems()).toEqual([]);
  await advance(3_600_000);
  expect(asked.length).toBe(1);
});

describe("keys that are kept", () => {
  it("serve after a restart while the issuer is away, at once, and are replaced by what it publishes when it is back", async () => {
    const { store, all } = memoryStore();
    const first = followWith(store, { [KEYS]: FIRST }, remote);
    await settle();
    expect(all).toEqual(new Map([[KEYS, FIRST]]));
    first.keys.close();
    expect(all.size).toBe(1);

    const documents: Record<string, string> = {};
    const { keys, asked, advance } = followWith(store, documents, remote);
    await settle();
    expect([keys.settled, asked.length]).toEqual([true, 1]);
    expect(keys.take()).toEqual(new Map([[KEYS, FIRST]]));
    expect(keys.problems()[0]?.hint).toContain("stay in force");
    documents[KEYS] = '{"keys":[{"kid":"2"}]}';
    await advance(1000);
    expect(keys.take()).toEqual(new Map([[KEYS, documents[KEYS]]]));
    expect([keys.problems(), all.get(KEYS)]).toEqual([[], documents[KEYS]]);
  });

  it("do not wait for an issuer that does not answer", async () => {
    const { store } = memoryStore(new Map([[KEYS, FIRST]]));
    const keys = new KeySets({
      documents: () => new Promise(() => {}),
      ...{ store, refreshMs: 1000, clock: manualClock(), logger: recordingLogger(), changed: () => {} },
    });
    closing.push(keys);
    keys.update({ upserted: [remote], removed: [] });
    await settle();
    expect([keys.settled, keys.take()]).toEqual([true, new Map([[KEYS, FIRST]])]);
  });

  it("are left alone when they are no key set", async () => {
    const { store } = memoryStore(new Map([[KEYS, "<html>"]]));
    const { keys } = followWith(store, {}, remote);
    await settle();
    expect([keys.settled, keys.take().size]).toEqual([true, 0]);
  });

  it("go with the last who asked for them", async () => {
    const { store, all } = memoryStore();
    const { keys } = followWith(store, { [KEYS]: FIRST }, remote);
    await settle();
    keys.update({ upserted: [], removed: ["RequestAuthentication/shop/a"] as never });
    await settle();
    expect(all.size).toBe(0);
  });

  it("are written once more after a failure; a store that cannot be read is as good as an empty one", async () => {
    const { store, all, fails } = memoryStore(new Map([[KEYS, '{"keys":[]}']]));
    fails.load = true;
    fails.save = true;
    const { keys, advance } = followWith(store, { [KEYS]: FIRST }, remote);
    await settle();
    expect(keys.take()).toEqual(new Map([[KEYS, FIRST]]));
    expect(all.get(KEYS)).toBe('{"keys":[]}');
    fails.save = false;
    await advance(20 * 60_000);
    expect(all.get(KEYS)).toBe(FIRST);
  });
});
