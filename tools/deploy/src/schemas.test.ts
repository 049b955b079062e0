import { identityOf, manifestOf, PROFILES, settingsOf } from "@lateen/manifests";
import { describe, expect, it } from "vitest";
import { kubernetesSchemas } from "./kubernetes-schemas.ts";
import { partsOf } from "./parts.ts";

const schemas = kubernetesSchemas();
const lacking = "reason" in schemas ? schemas : undefined;
const faults = "reason" in schemas ? () => [schemas.reason] : schemas.faults;

describe.skipIf(lacking !== undefined && !(process.env.CI && lacking.installable))(
  "by Kubernetes' own schemas",
  { timeout: 120_000 },
  () => {
    it.each(PROFILES.flatMap((profile) => ["default", "canary"].map((revision) => [profile, revision] as const)))(
      "every object of profile %s, revision %s, is valid",
      (profile, revision) => {
        const objects = manifestOf({ ...settingsOf(profile), revision }, partsOf(revision));
        const found = objects.map((object) => [identityOf(object), faults(object)] as const);
        expect(found.filter(([, those]) => those.length > 0)).toEqual([]);
      },
    );

    it.each([
      ["an unknown field", { spec: { replica: 1 } }, "additional properties"],
      ["a missing field", { spec: { template: {} } }, "required property 'selector'"],
      ["a wrong type", { spec: { replicas: "one" } }, "must be integer"],
    ])("the schemas refuse %s", (_what, body, message) => {
      expect(faults({ apiVersion: "apps/v1", kind: "Deployment", ...body }).join("\n")).toContain(message);
    });

    it("a kind that Kubernetes does not have is refused", () => {
      expect(faults({ apiVersion: "apps/v1", kind: "Deploymint" })).toEqual(["Kubernetes has no apps/v1 Deploymint"]);
    });
  },
);
