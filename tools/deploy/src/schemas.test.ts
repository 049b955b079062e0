import { customResourceDefinitions } from "@lateen/manifests";
import { describe, expect, it } from "vitest";
import { kubernetesSchemas } from "./kubernetes-schemas.ts";

const schemas = kubernetesSchemas();
const lacking = "reason" in schemas ? schemas : undefined;
const faults = "reason" in schemas ? () => [schemas.reason] : schemas.faults;

describe.skipIf(lacking !== undefined && !(process.env.CI && lacking.installable))("by Kubernetes' own schemas", () => {
  it.each(customResourceDefinitions().map((crd) => [crd.metadata.name, crd] as const))("%s is valid", (_name, crd) => {
    expect(faults(crd)).toEqual([]);
  });

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
});
