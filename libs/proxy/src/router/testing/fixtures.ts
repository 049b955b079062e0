import { afterEach } from "vitest";
import { clusterSpec, forwardTo, hostSpec, type Rig, type RigOptions, routeSpec, startRig } from "./rig.ts";
import { dialPeer, Origin, type Peer } from "./wire.ts";

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0).reverse()) close();
});

/** An origin that closes with the test. Without `answer` the test answers by hand. */
export async function origin(answer?: (peer: Peer, message: string) => void): Promise<Origin> {
  const started = await Origin.start(answer);
  closers.push(() => started.close());
  return started;
}

export async function rig(options: RigOptions): Promise<Rig> {
  const started = await startRig(options);
  closers.push(() => started.close());
  return started;
}

export async function client(port: number): Promise<Peer> {
  const peer = await dialPeer(port);
  closers.push(() => peer.close());
  return peer;
}

/** A rig that forwards everything to one origin. */
export async function forwarding(backend: Origin, options: Partial<RigOptions> = {}): Promise<Rig> {
  return rig({
    hosts: [hostSpec(["*"], [routeSpec("/", forwardTo("backend"))])],
    clusters: [clusterSpec("backend", [backend.port])],
    ...options,
  });
}

/** Sends one request on a connection of its own and answers the whole response up to the end of its message. */
export async function exchange(port: number, request: string): Promise<string> {
  const peer = await client(port);
  peer.send(request);
  return peer.message();
}
