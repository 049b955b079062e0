import { expect, it } from "vitest";
import { containerRestarts, meshRestarts } from "./backoff.ts";

it("restarts a container quickly once, then as Kubernetes does", () => {
  expect([1, 2, 3, 4, 5, 6, 7, 20].map(containerRestarts.delayMs)).toEqual([
    200, 10_000, 20_000, 40_000, 80_000, 160_000, 300_000, 300_000,
  ]);
});

it("brings proxies and the control plane back within seconds", () => {
  expect([1, 2, 3, 4, 5, 6, 7, 50].map(meshRestarts.delayMs)).toEqual([100, 200, 400, 800, 1600, 3200, 5000, 5000]);
});
