import { readFileSync } from "node:fs";
import { goldenCases } from "@lateen/test-support";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { noEnvoy } from "./harness/mesh.ts";
import { GOLDENS, Shop } from "./harness/shop.ts";

const skip = noEnvoy();
const title = `Envoy takes every golden of the compiler${skip === undefined ? "" : ` (skipped: ${skip})`}`;
/** Every folder, also one that has no calls. */
const cases = goldenCases(GOLDENS, "input.yaml");

/** Our form of the mesh configuration in Istio's: durations are texts, headers a list. */
function istioForm(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(istioForm);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).map(([key, inner]): [string, unknown] => {
    if (key.endsWith("Ms")) return [key.slice(0, -2), `${Number(inner) / 1000}s`];
    if (key !== "headers" || Array.isArray(inner)) return [key, istioForm(inner)];
    return [key, Object.entries(inner as object).map(([name, text]) => ({ name, value: text }))];
  });
  return Object.fromEntries(entries);
}

/** The mesh configuration that a case asks for, as Istio's ConfigMap. */
function meshConfig(calls: string): string {
  const { mesh = {}, networks = {} } = parse(calls) as Readonly<
    Record<"mesh" | "networks", Readonly<Record<string, unknown>> | undefined>
  >;
  const data = {
    mesh: JSON.stringify({ rootNamespace: "istio-system", ...(istioForm(mesh) as object) }),
    meshNetworks: JSON.stringify({ networks }),
  };
  const metadata = { name: "istio", namespace: "istio-system" };
  return `---\n${JSON.stringify({ apiVersion: "v1", kind: "ConfigMap", metadata, data })}\n`;
}

describe.skipIf(skip !== undefined)(title, () => {
  let shop: Shop;
  beforeAll(async () => {
    shop = await Shop.start();
  });
  afterAll(() => shop?.stop());

  it.each(cases)("$name", async ({ path }) => {
    const input = readFileSync(path("input.yaml"), "utf8").replaceAll("file:///etc/wasm/", `file://${shop.code}/`);
    await shop.plane.apply(
      `${meshConfig(readFileSync(path("calls.yaml"), "utf8"))}${shop.credentials(input)}---\n${input}`,
    );
    // The plane waited for an answer of each proxy to this revision; all of them were yes.
    expect(await shop.plane.refusals()).toEqual([]);
    const { proxies } = await shop.plane.sync();
    expect(proxies.length).toBe(shop.proxies.length);
    expect(proxies.filter(({ synced }) => !synced)).toEqual([]);
    // Certificates in files of a workload are not on this machine: their listeners are accepted, and wait.
    if (/serverCertificate: \//.test(input)) return;
    for (const proxy of shop.proxies) {
      // Accepted and in use: nothing waits for a secret or a route that never comes.
      const states = await proxy.admin("/stats?filter=^listener_manager.total_listeners_warming$");
      expect({ pod: proxy.pod.name, states: states.split("\n").filter((line) => / [1-9]/.test(line)) }).toEqual({
        pod: proxy.pod.name,
        states: [],
      });
    }
  });
});
