import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { decodeObject } from "@lateen/mesh-model";
import { afterAll, beforeAll, expect, it } from "vitest";
import { PodRegistryFile, podObject } from "./registry.ts";
import type { PodView } from "./types.ts";

const view: PodView = {
  namespace: "default",
  name: "web-abc-12345",
  workload: "web",
  kind: "workload",
  serviceAccount: "web",
  labels: { app: "web" },
  annotations: {},
  templateHash: "abc",
  address: "127.64.0.2",
  ready: true,
  phase: "Running",
  reason: "",
  restarts: 0,
  ports: [],
  containerPorts: [{ container: "web", name: "http", port: 9080 }],
  images: [{ container: "web", image: "web:1" }],
  createdAt: 0,
};

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "lateen-registry-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

it("writes what the control plane reads as a Pod", () => {
  const decoded = decodeObject(podObject(view), { file: "pods.json", line: 1, column: 1 });
  expect(decoded.ok ? decoded.object : decoded).toMatchObject({
    kind: "Pod",
    metadata: { name: "web-abc-12345", labels: { app: "web", "security.istio.io/tlsMode": "istio" } },
    status: { podIP: "127.64.0.2", conditions: [{ type: "Ready", status: "True" }] },
  });
});

it("does not advertise mutual TLS for a gateway, which has listeners of its own", () => {
  expect(podObject({ ...view, kind: "gateway" })).not.toMatchObject({
    metadata: { labels: { "security.istio.io/tlsMode": "istio" } },
  });
});

it("always ends with the last state in the file, also after states that were the same", async () => {
  const file = join(folder, "pods.json");
  const registry = new PodRegistryFile(file, 100);
  const names = () =>
    (JSON.parse(readFileSync(file, "utf8")) as { items: { metadata: { name: string } }[] }).items.map(
      ({ metadata }) => metadata.name,
    );
  const state = (...pods: string[]) => registry.write(pods.map((name) => ({ ...view, name })));
  await state();
  await state();
  await state("a");
  expect(names()).toEqual(["a"]);
  void state("a", "b");
  void state("a", "c");
  await state("a", "d");
  expect(names()).toEqual(["a", "d"]);
  const version = () =>
    (JSON.parse(readFileSync(file, "utf8")) as { metadata: { resourceVersion: string } }).metadata.resourceVersion;
  expect(version()).toBe(registry.version);
  void state("a", "d");
  expect(registry.version).toBe(version());
  void state("e");
  const promised = registry.version;
  await state("e");
  expect(version()).toBe(promised);
});
