import { networkInterfaces } from "node:os";
import type { ListenerSpec } from "../config/plan.ts";
import type { Connection } from "../io/connection.ts";
import type { IoLoop } from "../io/io-loop.ts";
import { type ListeningSocket, listen } from "../io/sockets.ts";
import type { WorkerBootstrap } from "./protocol.ts";

/** What a listening socket is for. Looked up at every accept, so that an update needs no new socket. */
export type SocketUse =
  | { readonly kind: "listener"; readonly listener: string; readonly port: number }
  | { readonly kind: "inbound"; readonly address: string; readonly containerPort: number }
  | { readonly kind: "service"; readonly host: string; readonly port: number }
  | { readonly kind: "explicitProxy" };

/** A socket that should be open. */
export interface WantedSocket {
  readonly address: string;
  readonly port: number;
  readonly use: SocketUse;
  /** Listener it belongs to, for reports. */
  readonly owner: string;
}

interface OpenSocket {
  wanted: WantedSocket;
  readonly socket: ListeningSocket;
}

const WILDCARDS: ReadonlySet<string> = new Set(["0.0.0.0", "::"]);

/** The sockets a set of listeners and the capture need. Capture sockets come with the listener that serves them. */
export function wantedSockets(listeners: Iterable<ListenerSpec>, bootstrap: WorkerBootstrap): readonly WantedSocket[] {
  const { capture } = bootstrap;
  const wanted: WantedSocket[] = [];
  for (const spec of listeners) {
    if (capture.mode === "proxy-env") wanted.push(...captureSockets(spec, capture));
    if (!spec.bindToPort) continue;
    const { address, port } = bindAddressOf(spec, bootstrap);
    const isProxy =
      capture.mode === "proxy-env" && capture.explicitProxy.port === port && capture.explicitProxy.address === address;
    if (isProxy) continue;
    wanted.push({ address, port, use: { kind: "listener", listener: spec.name, port: spec.port }, owner: spec.name });
  }
  return wanted;
}

function captureSockets(
  spec: ListenerSpec,
  capture: Extract<WorkerBootstrap["capture"], { mode: "proxy-env" }>,
): readonly WantedSocket[] {
  const owner = spec.name;
  switch (owner) {
    case "virtualInbound":
      return capture.inbound.map(({ containerPort }) => ({
        address: capture.address,
        port: containerPort,
        use: { kind: "inbound", address: capture.address, containerPort },
        owner,
      }));
    case "virtualOutbound":
      return [
        { ...capture.explicitProxy, use: { kind: "explicitProxy" }, owner },
        ...capture.services.map(({ address, port, host, destinationPort }) => ({
          address,
          port,
          use: { kind: "service" as const, host, port: destinationPort },
          owner,
        })),
      ];
    default:
      return [];
  }
}

function bindAddressOf(
  spec: ListenerSpec,
  bootstrap: WorkerBootstrap,
): { readonly address: string; readonly port: number } {
  const moved = bootstrap.bindMap.find(({ port }) => port === spec.port);
  if (moved !== undefined) return { address: moved.address, port: moved.bindPort };
  return {
    address: WILDCARDS.has(spec.address) ? bootstrap.bindAddress : spec.address,
    port: spec.port > 0 && spec.port < 1024 ? spec.port + bootstrap.lowPortOffset : spec.port,
  };
}

export interface SocketFailure {
  readonly owner: string;
  readonly reason: string;
}

/** The listening sockets of a worker. */
export class Sockets {
  readonly #io: IoLoop;
  readonly #reusePort: boolean;
  readonly #onConnection: (connection: Connection, use: SocketUse) => void;
  readonly #open = new Map<string, OpenSocket>();

  constructor(io: IoLoop, reusePort: boolean, onConnection: (connection: Connection, use: SocketUse) => void) {
    this.#io = io;
    this.#reusePort = reusePort;
    this.#onConnection = onConnection;
  }

  /** Opens what is missing. What is open already stays as it is until {@link settle}. */
  async prepare(wanted: readonly WantedSocket[]): Promise<readonly SocketFailure[]> {
    const failures: SocketFailure[] = [];
    const owners = new Map<string, string>();
    const missing = wanted.filter((socket) => {
      const key = keyOf(socket);
      const owner = owners.get(key);
      if (owner !== undefined)
        failures.push({ owner: socket.owner, reason: `${key} is the address of ${owner} already` });
      else owners.set(key, socket.owner);
      return owner === undefined && !this.#open.has(key);
    });
    await Promise.all(
      missing.map(async (socket) => {
        try {
          await this.#listen(socket);
        } catch (error) {
          failures.push({ owner: socket.owner, reason: bindFailure(socket, error) });
        }
      }),
    );
    return failures;
  }

  /** Gives every socket its use of now and closes those that nobody wants. Accepted connections stay. */
  settle(wanted: readonly WantedSocket[]): void {
    const byKey = new Map(wanted.map((socket) => [keyOf(socket), socket]));
    for (const [key, open] of [...this.#open]) {
      const now = byKey.get(key);
      if (now !== undefined) {
        open.wanted = now;
        continue;
      }
      open.socket.close();
      this.#open.delete(key);
    }
  }

  bound(): readonly { readonly listener: string; readonly address: string; readonly port: number }[] {
    return [...this.#open.values()].map(({ wanted, socket }) => ({
      listener: wanted.owner,
      address: socket.address,
      port: socket.port,
    }));
  }

  closeAll(): void {
    for (const { socket } of this.#open.values()) socket.close();
    this.#open.clear();
  }

  /** Whether a connection to this address would come back to one of our own sockets.. */
  isOwn(address: string, port: number, counts: (use: SocketUse) => boolean = () => true): boolean {
    for (const { wanted, socket } of this.#open.values()) {
      if (socket.port !== port || !counts(wanted.use)) continue;
      if (socket.address === address || (WILDCARDS.has(socket.address) && isLocal(address))) return true;
    }
    return false;
  }

  async #listen(wanted: WantedSocket): Promise<void> {
    const key = keyOf(wanted);
    const socket = await listen(this.#io, {
      address: wanted.address,
      port: wanted.port,
      reusePort: this.#reusePort,
      onConnection: (connection) => {
        const use = this.#open.get(key)?.wanted.use;
        if (use === undefined) connection.reset();
        else this.#onConnection(connection, use);
      },
    });
    this.#open.set(key, { wanted, socket });
  }
}

function keyOf({ address, port }: WantedSocket): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

function bindFailure(socket: WantedSocket, error: unknown): string {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const why =
    {
      EADDRINUSE: "the address is in use",
      EACCES: "permission denied",
      EADDRNOTAVAIL: "the address is not on this machine",
    }[code] ?? String(error);
  return `cannot listen on ${keyOf(socket)}: ${why}`;
}

function isLocal(address: string): boolean {
  if (address.startsWith("127.") || address === "::1") return true;
  return Object.values(networkInterfaces()).some((list) => list?.some((entry) => entry.address === address) ?? false);
}
