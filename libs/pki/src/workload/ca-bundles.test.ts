import { Scope, seededRandom, silentLogger } from "@lateen/kernel";
import type { WebhookRegistry } from "@lateen/ports";
import { manualClock } from "@lateen/test-support";
import { expect, it } from "vitest";
import { keepCaBundles } from "./ca-bundles.ts";

const injector = { kind: "MutatingWebhookConfiguration", name: "istio-sidecar-injector" } as const;

/** An API server that remembers a bundle, and refuses as often as it is told. */
function keeping(refusals = 0) {
  const clock = manualClock();
  const scope = new Scope();
  const state = { bundle: "", writes: 0, asked: 0, refusals };
  const webhooks: WebhookRegistry = {
    trust: async (_configuration, bundle) => {
      state.asked++;
      if (state.refusals-- > 0) throw new Error("unavailable");
      if (state.bundle === bundle) return "unchanged";
      state.bundle = bundle;
      state.writes++;
      return "written";
    },
  };
  const root = { pem: "one" };
  const look = keepCaBundles({
    ...{ webhooks, clock, scope, logger: silentLogger, random: seededRandom(1) },
    configurations: [injector],
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
