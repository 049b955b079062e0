import { describe, expect, it } from "vitest";
import { type IsOwn, mapDestination } from "./own-addresses.ts";
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

describe("mapDestination", () => {
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
    expect(mapDestination({ address, port }, direction, capture, isOwn)).toEqual(expected);
  });

  it("dials an inbound destination as it is when the kernel redirects, except its own sockets", () => {
    const none: CaptureSpec = { mode: "none" };
    const dial = (port: number) => mapDestination({ address: "127.64.0.1", port }, "inbound", none, isOwn);
    expect(dial(8080)).toEqual({ host: "127.64.0.1", port: 8080 });
    expect(dial(9080)).toBeUndefined();
    expect(dial(15006)).toBeUndefined();
  });
});
