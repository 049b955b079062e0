import { describe, expect, it } from "vitest";
import { Destinations, splitAuthority } from "./destinations.ts";

describe("splitAuthority", () => {
  it.each([
    ["a", { host: "a", port: 80 }],
    ["a:8080", { host: "a", port: 8080 }],
    ["10.0.0.1:1", { host: "10.0.0.1", port: 1 }],
    ["[::1]", { host: "::1", port: 80 }],
    ["[::1]:65535", { host: "::1", port: 65_535 }],
    ["a:", { host: "a", port: 80 }],
    ["a:0", undefined],
    ["a:65536", undefined],
    ["", undefined],
  ])("%j", (authority, expected) => {
    expect(splitAuthority(authority, 80)).toEqual(expected);
  });
});

describe("Destinations", () => {
  const names: Readonly<Record<string, readonly string[]>> = {
    reviews: ["10.96.0.1"],
    pods: ["10.0.0.1", "10.0.0.2"],
    nobody: [],
  };
  const make = (random = 0): Destinations =>
    new Destinations({
      resolveName: (host) => names[host],
      resolve: async (host) => {
        if (host === "example.com") return ["192.0.2.1"];
        throw new Error("no such name");
      },
      capture: {
        mode: "proxy-env",
        address: "127.64.0.1",
        inbound: [],
        explicitProxy: { address: "127.64.0.1", port: 15001 },
        services: [{ address: "127.65.0.1", port: 9000, host: "reviews", destinationPort: 9001 }],
      },
      random: () => random,
    });

  it("knows the mesh's names at once, whatever their spelling", () => {
    expect(make().find("Reviews.", 9080)).toEqual({ address: "10.96.0.1", port: 9080 });
    expect(make().find("reviews", 9080)).toEqual({ address: "10.96.0.1", port: 9080 });
  });

  it("spreads over the addresses of a name", () => {
    expect(make(0).find("pods", 1)).toMatchObject({ address: "10.0.0.1" });
    expect(make(0.9).find("pods", 1)).toMatchObject({ address: "10.0.0.2" });
  });

  it("asks the system for other names", async () => {
    expect(await make().find("example.com", 443)).toEqual({ address: "192.0.2.1", port: 443 });
    expect(await make().find("no.example", 443)).toBeUndefined();
  });

  it("takes addresses as they are, but a service's stand-in for the service", () => {
    expect(make().find("192.0.2.7", 81)).toEqual({ address: "192.0.2.7", port: 81 });
    expect(make().find("127.65.0.1", 9000)).toEqual({ address: "10.96.0.1", port: 9001 });
    expect(make().find("127.65.0.1", 9001)).toEqual({ address: "127.65.0.1", port: 9001 });
  });

  it("finds nothing for a mesh name without addresses", () => {
    expect(make().find("nobody", 80)).toBeUndefined();
  });
});
