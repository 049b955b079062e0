import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { autoAddresses, needsAutoAddress } from "./auto-address.ts";
import type { MeshService, ServiceHost } from "./types.ts";

function service(host: string, change: Partial<MeshService> = {}): MeshService {
  return {
    host: host as ServiceHost,
    name: host,
    namespace: "default",
    registry: "External",
    ports: [{ name: "tcp", number: 5432, protocol: "TCP", targetPort: 5432 }],
    addresses: [],
    resolution: "dns",
    aliasOf: undefined,
    meshExternal: true,
    selector: undefined,
    exportTo: [],
    subjectAltNames: [],
    publishNotReadyAddresses: false,
    headless: false,
    labels: {},
    createdAt: 0,
    source: "",
    ...change,
  };
}

describe("addresses of services without one", () => {
  const http = [{ name: "http", number: 80, protocol: "HTTP", targetPort: 80 }] as const;
  it.each<[string, Partial<MeshService>, boolean]>([
    ["a TCP host", {}, true],
    ["of static endpoints", { resolution: "clientSide" }, true],
    ["one with an address", { addresses: ["1.2.3.4"] }, false],
    ["resolution NONE", { resolution: "passthrough" }, false],
    ["HTTP only: programs have to find its name", { ports: http }, true],
    ["opted out", { labels: { "networking.istio.io/enable-autoallocate-ip": "false" } }, false],
    ["a service of Kubernetes", { registry: "Kubernetes" }, false],
  ])("%s", (_title, change, expected) => {
    expect(needsAutoAddress(service("db.example.com", change))).toBe(expected);
  });

  it("a wildcard gets none", () => expect(needsAutoAddress(service("*.example.com"))).toBe(false));

  it("are distinct, in the range, and stay when services are added", () => {
    const hosts = fc.uniqueArray(
      fc.string({ minLength: 1, maxLength: 6 }).filter((text) => !text.startsWith("*")),
      {
        minLength: 2,
        maxLength: 300,
      },
    );
    fc.assert(
      fc.property(hosts, (names) => {
        const all = names.map((name) => service(name));
        const [before, after] = [autoAddresses(all.slice(0, -1)), autoAddresses(all)];
        expect(new Set(after.values()).size).toBe(names.length);
        for (const [key, address] of before) expect(after.get(key)).toBe(address);
        for (const address of after.values()) expect(address).toMatch(/^240\.240\.\d{1,3}\.\d{1,3}$/);
      }),
      { numRuns: 30 },
    );
  });
});
