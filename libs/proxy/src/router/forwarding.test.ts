import { afterEach, describe, expect, it } from "vitest";
import { clusterSpec, forwardTo, hostSpec, type Rig, type RigOptions, routeSpec, startRig } from "./testing/rig.ts";
import { dialPeer, Origin, type Peer, response } from "./testing/wire.ts";

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

async function origin(answer?: (peer: Peer, message: string) => void): Promise<Origin> {
  const started = await Origin.start(answer);
  closers.push(() => started.close());
  return started;
}

async function rig(options: RigOptions): Promise<Rig> {
  const started = await startRig(options);
  closers.push(() => started.close());
  return started;
}

async function client(port: number): Promise<Peer> {
  const peer = await dialPeer(port);
  closers.push(() => peer.close());
  return peer;
}

/** A rig that forwards everything to one origin. */
async function forwarding(backend: Origin, options: Partial<RigOptions> = {}): Promise<Rig> {
  return rig({
    hosts: [hostSpec(["*"], [routeSpec("/", forwardTo("backend"))])],
    clusters: [clusterSpec("backend", [backend.port])],
    ...options,
  });
}

describe("forwarding", () => {
  it("carries several requests over one connection each side", async () => {
    const backend = await origin((peer, message) => peer.send(response("200 OK", message.split("\r\n")[0] ?? "")));
    const proxy = await forwarding(backend);
    const peer = await client(proxy.port);
    for (const path of ["/a", "/b?x=1", "/c"]) {
      peer.send(`GET ${path} HTTP/1.1\r\nHost: shop\r\n\r\n`);
      const answer = await peer.message();
      expect(answer).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
      expect(answer).toContain(`\r\n\r\nGET ${path} HTTP/1.1`);
      expect(answer).toMatch(/x-envoy-upstream-service-time: \d+\r\n/);
    }
    expect(backend.connections).toHaveLength(1);
  });
});
