import { defaultMeshConfig, keyOf } from "@lateen/mesh-model";
import { expect, it } from "vitest";
import { objectsOf } from "../testing/objects.ts";
import { MeshSettings } from "./mesh-settings.ts";
import { World } from "./world.ts";

function settingsAfter(mesh: string) {
  const objects = objectsOf(
    JSON.stringify({
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: "istio", namespace: "istio-system" },
      data: { mesh },
    }),
  );
  const origin = { file: "mesh.yaml", line: 1, column: 1 };
  const world = new World();
  world.takeConfig({
    snapshot: true,
    revision: 1,
    removed: [],
    upserted: objects.map((object) => ({
      key: keyOf(object),
      revision: 1,
      value: { object, revision: 1, ownerFile: undefined, origin },
    })),
  });
  const settings = new MeshSettings(defaultMeshConfig({ trustDomain: "example.org", accessLogFile: "/dev/stdout" }));
  settings.refresh(world);
  return settings;
}

it("lays the ConfigMap over the settings of the start", () => {
  const { current, problems } = settingsAfter("outboundTrafficPolicy: { mode: REGISTRY_ONLY }");
  expect(current).toMatchObject({
    outboundTrafficPolicy: { mode: "REGISTRY_ONLY" },
    accessLogFile: "/dev/stdout",
    trustDomain: "example.org",
  });
  expect(problems).toEqual([]);
});

it("keeps the trust domain of the start, takes the rest, and says so", () => {
  const { current, problems } = settingsAfter("trustDomain: other.org\nenableAutoMtls: false");
  expect(current).toMatchObject({ trustDomain: "example.org", enableAutoMtls: false });
  expect(problems).toEqual([expect.objectContaining({ code: "LTN3506", path: "trustDomain" })]);
});
