import { Scope, seededRandom, silentLogger } from "@lateen/kernel";
import type { WebhookRegistry } from "@lateen/ports";
import { manualClock } from "@lateen/test-support";
import { expect, it } from "vitest";
import { keepCaBundles } from "./ca-bundles.ts";

const injector = { kind: "MutatingWebhookConfiguration", name: "istio-sidecar-injector" } as const;

/** An API server that remembers a bundle, and refuses as often as it is told. */
function keeping(refusals = 0, tagsOf?: string) {
  const clock = manualClock();
  const scope = new Scope();
  const state = {
    ...{ bundle: "", writes: 0, asked: 0, refusals, names: [] as string[] },
    tags: [] as string[] | undefined,
  };
  const webhooks: WebhookRegistry = {
    trust: async ({ name }, bundle) => {
      state.names.push(name);
      state.asked++;
      if (state.refusals-- > 0) throw new Error("unavailable");
      if (state.bundle === bundle) return "unchanged";
      state.bundle = bundle;
      state.writes++;
      return "written";
    },
    tagsOf: async (revision) => {
      if (state.tags === undefined) throw new Error("unavailable");
      return revision === "canary" ? state.tags.map((name) => ({ kind: injector.kind, name })) : [];
    },
  };
  const root = { pem: "one" };
  const look = keepCaBundles({
    ...{ webhooks, clock, scope, logger: silentLogger, random: seededRandom(1) },
    configurations: [injector],
    ...(tagsOf === undefined ? {} : { tagsOf }),
    rootPem: () => root.pem,
  });
  const settled = () => new Promise((resolve) => setImmediate(resolve));
  return { clock, scope, state, root, look, settled };
}

it("writes the bundle once, a new one when told, and mends what others changed", async () => {
  const { state, root, look, clock, settled } = keeping();
  await settled();
  expect(state).toMatchObject({ bundle: "one", writes: 1 });
  root.pem = "two";
  look();
  await settled();
  expect(state).toMatchObject({ bundle: "two", writes: 2 });
  state.bundle = "somebody else's";
  clock.advance(60_000);
  await settled();
  expect(state).toMatchObject({ bundle: "two", writes: 3 });
});

it("tries again while the API server does not answer, and ends with its scope", async () => {
  const { state, clock, settled, scope } = keeping(2);
  await settled();
  for (let second = 0; second < 4; second++) {
    clock.advance(1000);
    await settled();
  }
  expect(state).toMatchObject({ bundle: "one", asked: 3 });
  await scope.close();
  clock.advance(600_000);
  await settled();
  expect(state.asked).toBe(3);
});

it("keeps the tags of its revision as well, also those of later, and itself while nobody knows them", async () => {
  const { state, clock, settled } = keeping(0, "canary");
  await settled();
  expect(state.names).toEqual([injector.name]);
  state.tags = ["istio-revision-tag-prod"];
  state.names.length = 0;
  clock.advance(60_000);
  await settled();
  expect(state.names).toEqual([injector.name, "istio-revision-tag-prod"]);
  state.tags = undefined;
  state.names.length = 0;
  clock.advance(60_000);
  await settled();
  expect(state.names).toEqual([injector.name]);
});
