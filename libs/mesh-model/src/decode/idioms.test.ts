import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { bookinfoTraffic, bookinfoWorkloads } from "../testing/bookinfo.ts";
import { findingsOf, objectsOf } from "../testing/findings.ts";
import { istioIdioms, kubernetesIdioms } from "../testing/idioms.ts";
import { decodeObject } from "./decode.ts";
import { encodeObject } from "./encode.ts";

const SAMPLES = join(import.meta.dirname, "../../../../samples/bookinfo");
const samples = readdirSync(SAMPLES, { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".yaml") && !file.includes("node_modules"))
  .map((file): [string, string] => [`the sample ${file}`, readFileSync(join(SAMPLES, file), "utf8")]);

const texts: readonly (readonly [string, string])[] = [
  ["Bookinfo's workloads", bookinfoWorkloads],
  ["Kubernetes objects as people have them", kubernetesIdioms],
  ["Istio's API versions and spellings", istioIdioms],
  ...samples,
];

describe.each(texts)("%s", (_, text) => {
  it("gives no finding", () => {
    expect(findingsOf(text)).toEqual([]);
    expect(objectsOf(text).length).toBeGreaterThan(0);
  });

  it("reads the same with Windows line ends", () => {
    expect(objectsOf(text.replaceAll("\n", "\r\n"))).toEqual(objectsOf(text));
  });

  it("survives encoding", () => {
    for (const object of objectsOf(text)) {
      const written = JSON.parse(JSON.stringify(encodeObject(object))) as unknown;
      const again = decodeObject(written, { file: "f", line: 1, column: 1 });
      expect(again).toMatchObject({ ok: true, object, warnings: [] });
      expect(again.ok && again.object).toEqual(object);
    }
  });
});

it("Bookinfo's traffic rules give only what Istio reports too", () => {
  expect(findingsOf(bookinfoTraffic)).toEqual([
    expect.stringContaining("warning spec: an ALLOW policy without rules denies every request"),
  ]);
});

describe("YAML as Kubernetes reads it", () => {
  const data = (text: string) => objectsOf(`apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n${text}`)[0];

  it.each([
    ["a block scalar", "  a: |\n    x\n    y\n", { a: "x\ny\n" }],
    ["a folded scalar", "  a: >-\n    x\n    y\n", { a: "x y" }],
    ["a mapping with comments", "  a: x # not y\n  # b: z\n", { a: "x" }],
    ["quotes", "  a: 'it''s'\n  b: \"\\u00e9\\n\"\n", { a: "it's", b: "é\n" }],
    ["numbers as names", "  80: x\n  1.5: y\n  true: z\n", { "80": "x", "1.5": "y", true: "z" }],
    ["names that YAML 1.1 takes for booleans", "  on: a\n  y: b\n", { on: "a", y: "b" }],
    ["a document embedded as text", "  a: |\n    ---\n    kind: x\n", { a: "---\nkind: x\n" }],
  ])("%s", (_, text, expected) => {
    expect(data(text)).toHaveProperty("data", expected);
  });

  it("an octal file mode", () => {
    const pod = objectsOf(kubernetesIdioms).find((object) => object.kind === "Deployment");
    expect(pod?.kind === "Deployment" && pod.spec.template.spec.volumes?.[1]?.configMap?.defaultMode).toBe(0o644);
  });

  it("merged maps give way to what is written", () => {
    const [rule] = objectsOf(istioIdioms.slice(istioIdioms.indexOf("apiVersion: networking.istio.io/v1beta1")));
    expect(rule).toHaveProperty("spec.subsets.0.trafficPolicy", {
      loadBalancer: { simple: "LEAST_REQUEST" },
      connectionPool: { tcp: { maxConnections: 1 } },
    });
  });

  it("an empty value counts as absent", () => {
    const [service] = objectsOf(
      "apiVersion: v1\nkind: Service\nmetadata: {name: a, labels: }\nspec: {selector: null, ports: [{port: 1, name: ~}]}\n",
    );
    expect(service?.metadata).toEqual({ name: "a", namespace: "default" });
    expect(service).toHaveProperty("spec", { ports: [{ port: 1 }] });
  });
});
