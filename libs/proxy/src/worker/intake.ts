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
        const address = unmapped(connection.socket.localAddress ?? "");
        return { listener: table.get(use.listener), address, port: use.port };
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
}
