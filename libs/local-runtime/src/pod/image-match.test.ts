import type { LocalRuntime } from "@lateen/mesh-model";
import { expect, it } from "vitest";
import { imageRules, matchImage } from "./image-match.ts";

const runtime = (name: string, images: LocalRuntime["spec"]["images"]): LocalRuntime => ({
  apiVersion: "lateen.dev/v1alpha1",
  kind: "LocalRuntime",
  metadata: { name, namespace: "default" },
  spec: { images },
});

const rules = imageRules(
  [
    runtime("b", [{ match: "*", command: ["fallback"] }]),
    runtime("a", [
      { match: "*/reviews-v1:*", command: ["one"], workingDir: "app" },
      { match: "*/reviews-*:*", command: ["any"] },
      { match: "redis", command: ["redis"], workingDir: "/srv" },
    ]),
  ],
  () => "/mesh",
);

it.each([
  ["docker.io/istio/reviews-v1:1.20", "one"],
  ["registry.example.com:5000/team/reviews-v1:1.20", "one"],
  ["docker.io/istio/reviews-v2:1.20", "any"],
  ["redis", "redis"],
  ["redis:7", "fallback"],
])("%s is run by %s: the first match of the documents in order of their names", (image, command) => {
  expect(matchImage(rules, image)?.command).toEqual([command]);
});

it("starts commands where the document lies", () => {
  expect(rules.map(({ workingDir }) => workingDir)).toEqual(["/mesh/app", "/mesh", "/srv", "/mesh"]);
});

it("matches nothing without rules", () => {
  expect(matchImage([], "redis")).toBeUndefined();
});
