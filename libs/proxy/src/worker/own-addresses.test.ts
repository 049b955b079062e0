import { describe, expect, it } from "vitest";
import { captureSources, destinationMapper, type IsOwn } from "./own-addresses.ts";
import type { CaptureSpec } from "./protocol.ts";
import type { SocketUse } from "./sockets.ts";

const capture: CaptureSpec = {
  mode: "proxy-env",
  address: "127.64.0.1",
  inbound: [{ containerPort: 9080, appAddress: "127.0.0.1", appPort: 41_000 }],
  explicitProxy: { address: "127.64.0.1", port: 15001 },
  services: [],
};
const uses: Readonly<Record<string, SocketUse>> = {
  "127.64.0.1:9080": { kind: "inbound", address: "127.64.0.1", containerPort: 9080 },
  "127.64.0.1:15001": { kind: "explicitProxy" },
  "127.64.0.1:15006": { kind: "listener", listener: "virtualInbound", port: 15006 },
  "127.65.0.1:9000": { kind: "service", host: "a", port: 9000 },
};
const isOwn: IsOwn = (address, port, counts) => {
  const use = uses[`${address}:${port}`];
  return use !== undefined && counts(use);
};

describe("destinationMapper", () => {
  it.each([
    ["inbound", "127.64.0.1", 9080, { host: "127.0.0.1", port: 41_000 }],
    ["inbound", "127.64.0.1", 9081, undefined],
    ["inbound", "192.0.2.1", 9080, undefined],
    ["outbound", "192.0.2.1", 443, { host: "192.0.2.1", port: 443 }],
    ["outbound", "127.64.0.1", 9080, { host: "127.64.0.1", port: 9080 }],
    ["outbound", "127.64.0.1", 15001, undefined],
    ["outbound", "127.64.0.1", 15006, undefined],
    ["outbound", "127.65.0.1", 9000, undefined],
    ["outbound", "0.0.0.0", 80, undefined],
    ["outbound", "", 80, undefined],
  ] as const)("%s %s:%d", (direction, address, port, expected) => {
    expect(destinationMapper(capture, isOwn)({ address, port }, direction)).toEqual(expected);
  });

  it("dials an inbound destination as it is when the kernel redirects, except its own sockets", () => {
    const none: CaptureSpec = { mode: "none" };
    const dial = (port: number) => destinationMapper(none, isOwn)({ address: "127.64.0.1", port }, "inbound");
    expect(dial(8080)).toEqual({ host: "127.64.0.1", port: 8080 });
    expect(dial(9080)).toBeUndefined();
    expect(dial(15006)).toBeUndefined();
  });

  it.each([
    ["inbound", "10.0.0.1", 9080, { host: "127.0.0.1", port: 41_000 }],
    ["inbound", "10.0.0.1", 9081, { host: "10.0.0.1", port: 9081 }],
    ["inbound", "10.0.0.2", 9081, undefined],
    ["outbound", "10.0.0.2", 9081, { host: "10.0.0.2", port: 9081 }],
    ["outbound", "10.96.0.7", 9999, undefined],
  ] as const)("captured by the kernel: %s %s:%d", (direction, address, port, expected) => {
    const kernel: CaptureSpec = {
      mode: "kernel",
      addresses: ["10.0.0.1"],
      inbound: [{ containerPort: 9080, appAddress: "127.0.0.1", appPort: 41_000 }],
      virtualRanges: ["10.96.0.0/12"],
    };
    expect(destinationMapper(kernel, isOwn)({ address, port }, direction)).toEqual(expected);
    expect(captureSources(kernel, direction)).toEqual(direction === "inbound" ? ["127.0.0.6", "::6"] : []);
  });
});
