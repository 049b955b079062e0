import { describe, expect, it } from "vitest";
import { findingsOf } from "../testing/findings.ts";

const deployment = (annotation: string) => `
apiVersion: apps/v1
kind: Deployment
metadata: { name: a }
spec:
  selector: { matchLabels: { app: a } }
  template:
    metadata:
      labels: { app: a }
      annotations:
        proxy.istio.io/config: ${JSON.stringify(annotation)}
    spec: { containers: [{ name: a, image: a }] }
`;
const pod = (annotation: string) => `
apiVersion: v1
kind: Pod
metadata:
  name: a
  annotations:
    proxy.istio.io/config: ${JSON.stringify(annotation)}
spec: { containers: [{ name: a, image: a }] }
`;

describe("the annotation proxy.istio.io/config", () => {
  it.each([
    ["in block style", "concurrency: 2\nproxyMetadata:\n  A: b\n"],
    ["in flow style", "{ concurrency: 2, terminationDrainDuration: 30s, drainDuration: 7s }"],
    ["that is empty", ""],
  ])("%s is taken", (_title, text) => {
    expect([...findingsOf(deployment(text)), ...findingsOf(pod(text))]).toEqual([]);
  });

  const place = "metadata.annotations";
  it.each([
    ["with a misspelt field", "concurency: 2", 'unknown field "concurency"'],
    ["that is no YAML", "concurrency: [", "it cannot be read, so nothing of it is in force: "],
    ["with a wrong value", "concurrency: many", "concurrency: "],
    ["with a setting that is not honoured", "caCertificatesPem: [x]", '"caCertificatesPem" cannot be used'],
    [
      "for Istio's bootstrap",
      "proxyStatsMatcher: { inclusionPrefixes: [a] }",
      "proxyStatsMatcher has an effect in bootstraps of stock Envoys only",
    ],
    [
      "with runtime values",
      "runtimeValues: { a: b }",
      "runtimeValues has an effect in bootstraps of stock Envoys only",
    ],
    ["with labels of metrics", "extraStatTags: [a]", "extraStatTags has no effect: tagOverrides"],
    [
      "that holds nothing back",
      "holdApplicationUntilProxyStarts: false",
      "holdApplicationUntilProxyStarts has an effect in injected pods only",
    ],
  ])("%s is told, and the object accepted", (_title, text, expected) => {
    for (const [findings, path] of [
      [findingsOf(deployment(text)), `spec.template.${place}`],
      [findingsOf(pod(text)), place],
    ] as const) {
      expect(findings).toHaveLength(1);
      expect(findings[0]).toMatch(/^warning /);
      expect(findings[0]).toContain(path);
      expect(findings[0]).toContain(expected);
    }
  });
});
