import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { draw } from "./cases/case.ts";
import { sidecarCases } from "./cases/sidecar-cases.ts";
import { InteropMesh, noEnvoy } from "./harness/mesh.ts";
import { verdict } from "./harness/verdict.ts";

const COUNT = process.env.LATEEN_TEST_FULL === "1" ? 1_000 : 50;
const skip = noEnvoy();

describe.skipIf(skip !== undefined)(
  `Envoy and our proxy decide alike${skip === undefined ? "" : ` (skipped: ${skip})`}`,
  () => {
    let mesh: InteropMesh;
    beforeAll(async () => {
      mesh = await InteropMesh.start();
    });
    afterAll(() => mesh?.stop());

    it.each(sidecarCases)("as a client's proxy: $name", async ({ yaml, requests, pool = false }) => {
      await mesh.plane.apply(yaml);
      expect(await mesh.plane.refusals()).toEqual([]);
      for (const { service, port, ask } of draw(requests, COUNT)) {
        const [envoy, own] = await Promise.all([
          mesh.ask(ask, mesh.throughEnvoy(service, port)),
          mesh.ask(ask, mesh.throughOwn(service, port)),
        ]);
        expect({ ask, ...verdict(own, pool) }).toEqual({ ask, ...verdict(envoy, pool) });
      }
    });
  },
);
