import { once } from "node:events";
import net, { type AddressInfo } from "node:net";

/** A way to a server that can be cut. */
export interface TcpRelay {
  readonly port: number;
  /** Bytes stop in both directions and nothing is said: what a network that is cut looks like. New connections get no answer. */
  cut(): void;
  /** Bytes flow again, also those that waited. */
  heal(): void;
  /** Ends every connection at once. */
  reset(): void;
  close(): Promise<void>;
}

/** Listens on loopback and carries bytes to `port` of 127.0.0.1. */
export async function startTcpRelay(port: number): Promise<TcpRelay> {
  const pairs = new Set<readonly [net.Socket, net.Socket]>();
  const waiting = new Set<net.Socket>();
  let cut = false;
  const carry = (client: net.Socket) => {
    const server = net.connect({ host: "127.0.0.1", port });
    const pair = [client, server] as const;
    pairs.add(pair);
    const end = () => {
      pairs.delete(pair);
      client.destroy();
      server.destroy();
    };
    for (const [from, to] of [pair, [server, client] as const]) {
      from.on("data", (bytes) => to.write(bytes));
      from.on("error", end);
      // A peer that goes while the network is cut is not heard of.
      from.on("close", () => (cut ? undefined : end()));
      if (cut) from.pause();
    }
  };
  const relay = net.createServer((client) => {
    client.on("error", () => client.destroy());
    if (!cut) return carry(client);
    client.pause();
    waiting.add(client);
  });
  relay.listen(0, "127.0.0.1");
  await once(relay, "listening");
  const reset = () => {
    for (const socket of [...waiting, ...[...pairs].flat()]) socket.destroy();
    waiting.clear();
    pairs.clear();
  };
  return {
    port: (relay.address() as AddressInfo).port,
    cut() {
      cut = true;
      for (const socket of [...pairs].flat()) socket.pause();
    },
    heal() {
      cut = false;
      for (const pair of pairs) {
        const [client, server] = pair;
        if (client.destroyed || server.destroyed) {
          client.destroy();
          server.destroy();
          pairs.delete(pair);
        } else for (const socket of pair) socket.resume();
      }
      for (const client of waiting) {
        if (client.destroyed) continue;
        client.resume();
        carry(client);
      }
      waiting.clear();
    },
    reset,
    async close() {
      reset();
      relay.close();
      await once(relay, "close");
    },
  };
}
