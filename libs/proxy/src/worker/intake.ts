import type { AskOriginalDestination } from "@lateen/capture";
import type { Connection } from "../io/connection.ts";
import type { IoLoop } from "../io/io-loop.ts";
import { unmapped } from "../listener/connection-info.ts";
import type { Destinations } from "../listener/destinations.ts";
import type { ExplicitProxy } from "../listener/explicit-proxy.ts";
import type { Listener } from "../listener/listener.ts";
import type { ListenerTable } from "../listener/listener-table.ts";
import type { Downstreams } from "./downstreams.ts";
import type { SocketUse } from "./sockets.ts";

export interface IntakeOptions {
  readonly io: IoLoop;
  readonly table: ListenerTable;
  readonly downstreams: Downstreams;
  readonly destinations: Destinations;
  readonly proxy: ExplicitProxy;
  /** Undefined where nothing is redirected: connections go where they came in. */
  readonly askOriginalDestination: AskOriginalDestination | undefined;
}

interface Target {
  readonly listener: Listener | undefined;
  readonly address: string;
  readonly port: number;
}

/** Hands accepted connections to whom they belong, by the socket they came in at. */
export class Intake {
  readonly #options: IntakeOptions;

  constructor(options: IntakeOptions) {
    this.#options = options;
  }

  accept(connection: Connection, use: SocketUse): void {
    const { io, downstreams } = this.#options;
    if (!downstreams.add(connection)) return;
    io.enter();
    try {
      this.#dispatch(connection, use);
    } catch (error) {
      io.onDefect(error);
      connection.destroy();
    } finally {
      io.leave();
    }
  }

  #dispatch(connection: Connection, use: SocketUse): void {
    if (use.kind === "explicitProxy") {
      this.#options.proxy.serve(connection);
      return;
    }
    const { listener, address, port } = this.#target(connection, use);
    const { remoteAddress, remotePort } = connection.socket;
    // Without an address the client has gone already.
    if (listener === undefined || remoteAddress === undefined) {
      connection.reset();
      return;
    }
    listener.accept(connection, {
      sourceAddress: unmapped(remoteAddress),
      sourcePort: remotePort ?? 0,
      destinationAddress: address,
      destinationPort: port,
    });
  }

  #target(connection: Connection, use: Exclude<SocketUse, { kind: "explicitProxy" }>): Target {
    const { table, destinations } = this.#options;
    switch (use.kind) {
      case "listener": {
        const listener = table.get(use.listener);
        const sent = listener?.spec.restoresDestination === true ? this.#sentTo(connection) : undefined;
        if (sent === undefined) {
          return { listener, address: unmapped(connection.socket.localAddress ?? ""), port: use.port };
        }
        const taker = listener?.spec.useOriginalDst === true ? table.outboundFor(sent.address, sent.port) : listener;
        return { listener: taker ?? listener, ...sent };
      }
      case "inbound":
        return { listener: table.inbound(), address: use.address, port: use.containerPort };
      case "service": {
        const found = destinations.known(use.host, use.port);
        if (found === undefined) return { listener: undefined, address: "", port: 0 };
        return { listener: table.outboundFor(found.address, found.port), ...found };
      }
    }
  }

  #sentTo({ socket }: Connection) {
    const ask = this.#options.askOriginalDestination;
    // A handle that has gone has no descriptor.
    const fd = (socket as unknown as { readonly _handle?: { readonly fd?: number } | null })._handle?.fd ?? -1;
    if (ask === undefined || fd < 0) return undefined;
    const { localFamily, localAddress } = socket;
    return ask(fd, localFamily === "IPv6" && localAddress?.startsWith("::ffff:") !== true ? 6 : 4);
  }
}
