import { randomInt } from "node:crypto";
import { createServer, type Server } from "node:net";
import { listeningPorts } from "@lateen/kernel";
import { isErrno } from "@lateen/runtime";
import { noPodAddresses, poolExhausted } from "../errors.ts";
import { type AddressBlock, addressBlock, BLOCK_COUNT, stableHash } from "./addresses.ts";

/** Port that is bound on a block's marker address. */
const MARKER_PORT = 15000;

/** A claimed address block; `release` lets other meshes have it. */
export interface ClaimedBlock {
  readonly block: AddressBlock;
  release(): Promise<void>;
}

/**
 * Claims a block of 127.64.0.0/10 by binding its marker address. The search starts at a place that is stable for `seed`, so a
 * mesh that is started again usually has its addresses again.
 * @throws LTN7002 where the loopback interface has only 127.0.0.1, LTN7003 when every block is taken.
 */
export async function claimAddressBlock(seed: string): Promise<ClaimedBlock> {
  const start = stableHash(seed) % BLOCK_COUNT;
  for (let i = 0; i < BLOCK_COUNT; i++) {
    const block = addressBlock((start + i) % BLOCK_COUNT);
    try {
      const server = await bind(block.marker, MARKER_PORT);
      return { block, release: () => close(server) };
    } catch (error) {
      if (isErrno(error, "EADDRNOTAVAIL")) throw noPodAddresses(`${block.marker} cannot be bound (EADDRNOTAVAIL)`);
      if (!isErrno(error, "EADDRINUSE")) throw error;
    }
  }
  throw poolExhausted("address block");
}

/** Whether a TCP port of an address can be bound right now; `absent` when the address itself is not there. */
export async function probePort(address: string, port: number): Promise<"free" | "busy" | "absent"> {
  try {
    await close(await bind(address, port));
    return "free";
  } catch (error) {
    if (isErrno(error, "EADDRNOTAVAIL") || isErrno(error, "EAFNOSUPPORT")) return "absent";
    return "busy";
  }
}

/** A port that is free on every one of the addresses, and stays free of outgoing connections ({@link listeningPorts}). */
export async function freePort(addresses: readonly string[]): Promise<number> {
  for (const port of listeningPorts(randomInt(2 ** 31))) {
    const states = await Promise.all(addresses.map((address) => probePort(address, port)));
    if (states.every((state) => state === "free")) return port;
  }
  throw poolExhausted("port");
}

/** Private ports on 127.0.0.1 for applications. A port is probed before it is handed out. */
export class PrivatePorts {
  readonly #taken = new Set<number>();
  #next: number;

  constructor(seed: string) {
    this.#next = stableHash(seed);
  }

  /** @throws LTN7003 when all are taken. */
  async take(): Promise<number> {
    for (const port of listeningPorts(this.#next, Number.POSITIVE_INFINITY)) {
      this.#next++;
      if (this.#taken.has(port)) continue;
      this.#taken.add(port);
      if ((await probePort("127.0.0.1", port)) === "free") return port;
      this.#taken.delete(port);
    }
    throw poolExhausted("private port");
  }

  release(port: number): void {
    this.#taken.delete(port);
  }
}

function bind(host: string, port: number): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once("error", reject);
    server.listen({ host, port, exclusive: true }, () => resolve(server));
  });
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}
