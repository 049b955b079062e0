import { memoryBus } from "@lateen/adapter-local";
import { fastify } from "fastify";
import { expect, it, onTestFinished } from "vitest";
import { galleyRoutes } from "./routes.ts";
import { docs, entry, MemoryStore, ScriptedSource, start } from "./testing/harness.ts";

async function serving(files: Readonly<Record<string, string>> = {}) {
  const store = new MemoryStore();
  const run = await start({ source: new ScriptedSource(files), store, bus: memoryBus() });
  const app = fastify();
  await app.register(galleyRoutes(run.galley));
  onTestFinished(async () => {
    await app.close();
    await run.stop();
  });
  const post = async (url: string, payload: object) => {
    const response = await app.inject({ method: "POST", url, payload });
    return { status: response.statusCode, body: response.json() };
  };
  const get = async (url: string) => (await app.inject({ url })).json();
  return { post, get, store };
}

it("applies, lists and deletes", async () => {
  const { post, get } = await serving();
  expect(await post("/config/apply", { documents: [{ file: "f", text: docs(entry("a"), entry("b")) }] })).toMatchObject(
    {
      status: 200,
      body: {
        revision: 1,
        results: [
          { name: "a", action: "created" },
          { name: "b", action: "created" },
        ],
      },
    },
  );
  const { revision, objects } = await get("/config/objects?kind=ServiceEntry&name=a");
  expect(revision).toBe(1);
  expect(objects).toMatchObject([
    { object: { kind: "ServiceEntry", metadata: { name: "a", namespace: "shop" } }, file: "f", line: 1, revision: 1 },
  ]);
  expect((await get("/config/objects?namespace=other")).objects).toEqual([]);
  const target = { kind: "ServiceEntry", namespace: "shop", name: "a" };
  expect(await post("/config/delete", { objects: [target, { ...target, kind: "Nonsense" }] })).toMatchObject({
    status: 200,
    body: { results: [{ action: "deleted" }, { action: "notFound" }] },
  });
  expect((await get("/config/objects")).objects).toHaveLength(1);
});

it("tells what was rejected", async () => {
  const { get } = await serving({ "a.yaml": entry("a", "not a host") });
  expect(await get("/config/rejected")).toMatchObject({
    rejected: [{ name: "a", file: "a.yaml", lastGoodServes: false }],
  });
});

it("answers errors with a code: the user's with 400, its own with 503", async () => {
  const { post, store } = await serving();
  expect(await post("/config/apply", { documents: [{ file: 1 }] })).toMatchObject({ status: 400 });
  store.failure = new Error("disk full");
  expect(await post("/config/apply", { documents: [{ file: "f", text: entry("a") }] })).toMatchObject({
    status: 503,
    body: { error: { code: "LTN2010" } },
  });
});
