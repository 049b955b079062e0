import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { isIPv6 } from "node:net";

/** What the server says of a name. */
export type NameAnswer =
  | { readonly addresses: readonly string[]; readonly ttl: number }
  /** NXDOMAIN, SERVFAIL, or nothing at all. */
  | "missing"
  | "failing"
  | "silent";

const A = 1;
const AAAA = 28;

/** A DNS server of a test's own, over UDP. Names it was not told of are missing. */
export class NameServer {
  readonly #socket: Socket;
  readonly names = new Map<string, NameAnswer>();
  /** `A name` or `AAAA name` of every question so far. */
  readonly asked: string[] = [];
  #waiting: (() => void)[] = [];

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("message", (message, from) => {
      const reply = this.#answer(message);
      if (reply !== undefined) socket.send(reply, from.port, from.address);
      for (const wake of this.#waiting.splice(0)) wake();
    });
  }

  static async start(names: Readonly<Record<string, NameAnswer>> = {}): Promise<NameServer> {
    const socket = createSocket("udp4");
    socket.bind(0, "127.0.0.1");
    await once(socket, "listening");
    const server = new NameServer(socket);
    for (const [name, answer] of Object.entries(names)) server.names.set(name, answer);
    return server;
  }

  get address(): string {
    return `127.0.0.1:${this.#socket.address().port}`;
  }

  /** Resolves when `question` came `times` times. */
  async wasAsked(question: string, times: number): Promise<void> {
    while (this.asked.filter((entry) => entry === question).length < times) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  close(): void {
    this.#socket.close();
  }

  #answer(message: Buffer): Buffer | undefined {
    const labels: string[] = [];
    let at = 12;
    for (let length = message[at] ?? 0; length > 0; length = message[at] ?? 0) {
      labels.push(message.toString("latin1", at + 1, at + 1 + length));
      at += 1 + length;
    }
    const name = labels.join(".").toLowerCase();
    const type = message.readUInt16BE(at + 1);
    this.asked.push(`${type === AAAA ? "AAAA" : "A"} ${name}`);
    const answer = this.names.get(name) ?? "missing";
    if (answer === "silent") return undefined;
    const records =
      typeof answer === "string"
        ? []
        : answer.addresses
            .filter((address) => type === (isIPv6(address) ? AAAA : A))
            .map((address) => record(type, answer.ttl, address));
    const header = Buffer.alloc(12);
    message.copy(header, 0, 0, 2);
    header.writeUInt16BE(0x8180 | (answer === "missing" ? 3 : answer === "failing" ? 2 : 0), 2);
    header.writeUInt16BE(1, 4);
    header.writeUInt16BE(records.length, 6);
    return Buffer.concat([header, message.subarray(12, at + 5), ...records]);
  }
}

function record(type: number, ttl: number, address: string): Buffer {
  const data = type === A ? Buffer.from(address.split(".").map(Number)) : v6(address);
  const fixed = Buffer.alloc(12);
  fixed.writeUInt16BE(0xc00c, 0);
  fixed.writeUInt16BE(type, 2);
  fixed.writeUInt16BE(1, 4);
  fixed.writeUInt32BE(ttl, 6);
  fixed.writeUInt16BE(data.length, 10);
  return Buffer.concat([fixed, data]);
}

function v6(address: string): Buffer {
  const [left = "", right = ""] = address.split("::");
  const head = left === "" ? [] : left.split(":");
  const tail = right === "" ? [] : right.split(":");
  const words = [...head, ...Array.from({ length: 8 - head.length - tail.length }, () => "0"), ...tail];
  return Buffer.from(words.flatMap((word) => [Number.parseInt(word, 16) >> 8, Number.parseInt(word, 16) & 255]));
}
