import type { MeshConfig, Resource } from "@lateen/mesh-model";
import { defaultMeshConfig, keyOf } from "@lateen/mesh-model";
import { describe, expect, it } from "vitest";
import { compilerFor, nodeOf, objectsFrom, ProxyView, service } from "../testing/mesh.ts";

const namespace = (name: string, labels = "{}") => `
apiVersion: v1
kind: Namespace
metadata: { name: ${name}, labels: ${labels} }
---`;
const WORLD = objectsFrom(
  namespace("default", "{ mesh: shop }"),
  namespace("blue", "{ mesh: shop, colour: blue }"),
  namespace("red", "{ mesh: other, colour: red }"),
  ...["default", "blue", "red", "bare", "istio-system"].map((name, index) =>
    service("web", `10.0.0.${index + 1}`, ["http:80"], { namespace: name }),
  ),
);
const selecting = (...discoverySelectors: NonNullable<MeshConfig["discoverySelectors"]>) =>
  defaultMeshConfig({ discoverySelectors });
const SHOP = { matchLabels: { mesh: "shop" } };

function seen(compiler: ReturnType<typeof compilerFor>): readonly string[] {
  return new ProxyView(compiler, nodeOf())
    .names("cluster")
    .flatMap((name) => /^outbound\|80\|\|web\.(.*)\.svc\./.exec(name)?.[1] ?? [])
    .sort();
}

describe("namespaces that are seen", () => {
  it.each([
    ["without selectors", [], ["bare", "blue", "default", "istio-system", "red"]],
    ["by a label", [SHOP], ["blue", "default", "istio-system"]],
    ["by all of a selector", [{ matchLabels: { mesh: "shop", colour: "blue" } }], ["blue", "istio-system"]],
    ["by one of several", [SHOP, { matchLabels: { colour: "red" } }], ["blue", "default", "istio-system", "red"]],
    [
      "by an expression",
      [{ matchExpressions: [{ key: "mesh", operator: "NotIn", values: ["shop"] }] } as const],
      ["bare", "istio-system", "red"],
    ],
    ["by name", [{ matchLabels: { "kubernetes.io/metadata.name": "bare" } }], ["bare", "istio-system"]],
  ])("%s", (_title, selectors, expected) => {
    expect(seen(compilerFor(WORLD, selecting(...selectors)))).toEqual(expected);
  });

  it("become others when the selectors do", () => {
    const compiler = compilerFor(WORLD);
    const after = (config: MeshConfig) => {
      compiler.apply({ upserted: [], removed: [], meshConfig: config });
      return seen(compiler);
    };
    expect(after(selecting(SHOP))).toEqual(["blue", "default", "istio-system"]);
    expect(after(selecting({ matchLabels: { colour: "red" } }))).toEqual(["istio-system", "red"]);
    expect(after(defaultMeshConfig())).toEqual(["bare", "blue", "default", "istio-system", "red"]);
  });

  it("become others when their labels do", () => {
    const compiler = compilerFor(WORLD, selecting(SHOP));
    compiler.apply({ upserted: objectsFrom(namespace("red", "{ mesh: shop }"), namespace("blue")), removed: [] });
    expect(seen(compiler)).toEqual(["default", "istio-system", "red"]);
    const red = objectsFrom(namespace("red")).map((object: Resource) => keyOf(object));
    compiler.apply({ upserted: [], removed: red });
    expect(seen(compiler)).toEqual(["default", "istio-system"]);
  });

  it("show what changed in them unseen, as it is now", () => {
    const compiler = compilerFor(WORLD, selecting(SHOP));
    const gone = WORLD.filter(({ metadata }) => metadata.namespace === "red").map((object) => keyOf(object));
    const made = objectsFrom(service("web", "10.0.0.9", ["http:80"], { namespace: "late" }));
    compiler.apply({ upserted: made, removed: gone });
    expect(seen(compiler)).toEqual(["blue", "default", "istio-system"]);
    compiler.apply({ upserted: [], removed: [], meshConfig: defaultMeshConfig() });
    expect(seen(compiler)).toEqual(["bare", "blue", "default", "istio-system", "late"]);
  });
});
