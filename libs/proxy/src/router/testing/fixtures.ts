import { clusterSpec, forwardTo, hostSpec, type Rig, type RigOptions, routeSpec, startRig } from "./rig.ts";
import { dialPeer, Origin, type Peer } from "./wire.ts";

/** Servers, proxies and clients that live as long as one test. */
export interface Stage {
  /** Without `answer` the test answers by hand. */
  origin(answer?: (peer: Peer, message: string) => void): Promise<Origin>;
  rig(options: RigOptions): Promise<Rig>;
  client(port: number): Promise<Peer>;
  /** A rig that forwards everything to one origin. */
  forwarding(backend: Origin, options?: Partial<RigOptions>): Promise<Rig>;
  /** Sends one request on a connection of its own and answers the whole response up to the end of its message. */
  exchange(port: number, request: string): Promise<string>;
}

/** @param afterEach the test runner's hook. */
export function stage(afterEach: (close: () => void) => void): Stage {
  const closers: (() => void)[] = [];
  afterEach(() => {
    for (const close of closers.splice(0).reverse()) close();
  });
  const keep = <T extends { close(): void }>(made: T): T => {
    closers.push(() => made.close());
    return made;
  };
  const rig = async (options: RigOptions): Promise<Rig> => keep(await startRig(options));
  const client = async (port: number): Promise<Peer> => keep(await dialPeer(port));
  return {
    rig,
    client,
    origin: async (answer) => keep(await Origin.start(answer)),
    forwarding: (backend, options = {}) =>
      rig({
        hosts: [hostSpec(["*"], [routeSpec("/", forwardTo("backend"))])],
        clusters: [clusterSpec("backend", [backend.port])],
        ...options,
      }),
    async exchange(port, request) {
      const peer = await client(port);
      peer.send(request);
      return peer.message();
    },
  };
}
