import { randomInt } from "node:crypto";
import { createSocket } from "node:dgram";
import { connect, isIP } from "node:net";
import type { Clock } from "@lateen/kernel";
import { FrameSplitter, framed } from "./frames.ts";

/** A resolver that is asked for what the mesh does not know. */
export interface DnsServer {
  readonly address: string;
  readonly port: number;
}

export interface ForwardOptions {
  readonly servers: readonly DnsServer[];
  readonly clock: Clock;
  /** One server is waited for so long; then the next is asked. Default 2 s. */
  readonly timeoutMs?: number;
  /** Questions under way at most; more fail at once. Default 512. */
  readonly maxPending?: number;
}

const QUESTION_AT = 12;

/** Passes questions on as they are, under an id and port of our own that nobody can guess. */
export class Forwarder {
  readonly #options: ForwardOptions;
  #pending = 0;

  constructor(options: ForwardOptions) {
    this.#options = options;
  }

  /** The answer as it came, with the question's id; undefined when no server has one. */
  async ask(message: Buffer, question: Buffer, transport: "udp" | "tcp"): Promise<Buffer | undefined> {
    const { servers, maxPending = 512 } = this.#options;
    if (this.#pending >= maxPending) return undefined;
    this.#pending++;
    try {
      for (const server of servers) {
        const sent = Buffer.from(message);
        sent.writeUInt16BE(randomInt(65_536), 0);
        const answer = await (transport === "udp"
          ? this.#udp(server, sent, question)
          : this.#tcp(server, sent, question));
        if (answer === undefined) continue;
        answer.writeUInt16BE(message.readUInt16BE(0), 0);
        return answer;
      }
      return undefined;
    } finally {
      this.#pending--;
    }
  }

  #udp(server: DnsServer, sent: Buffer, question: Buffer): Promise<Buffer | undefined> {
    const { clock, timeoutMs = 2000 } = this.#options;
    return new Promise((resolve) => {
      const socket = createSocket(isIP(server.address) === 6 ? "udp6" : "udp4");
      let over = false;
      const done = (answer: Buffer | undefined): void => {
        if (over) return;
        over = true;
        cancel();
        socket.removeAllListeners();
        socket.on("error", () => {});
        socket.close();
        resolve(answer);
      };
      const cancel = clock.after(timeoutMs, () => done(undefined));
      socket.once("error", () => done(undefined));
      // Connected: the kernel drops what others send.
      // Without a way to it there is no connection, and sending would throw.
      const connected = (error?: Error): void => {
        if (error !== undefined) done(undefined);
        else socket.send(sent);
      };
      socket.connect(server.port, server.address, connected as () => void);
      socket.on("message", (answer) => {
        if (answers(answer, sent, question)) done(answer);
      });
    });
  }

  #tcp(server: DnsServer, sent: Buffer, question: Buffer): Promise<Buffer | undefined> {
    const { clock, timeoutMs = 2000 } = this.#options;
    return new Promise((resolve) => {
      const socket = connect({ host: server.address, port: server.port });
      let over = false;
      const done = (answer: Buffer | undefined): void => {
        if (over) return;
        over = true;
        cancel();
        socket.destroy();
        resolve(answer);
      };
      const cancel = clock.after(timeoutMs, () => done(undefined));
      const frames = new FrameSplitter(65_535, (answer) => done(answers(answer, sent, question) ? answer : undefined));
      socket.on("connect", () => socket.write(framed(sent)));
      socket.on("data", (bytes: Buffer) => {
        if (!frames.push(bytes)) done(undefined);
      });
      socket.on("error", () => done(undefined));
      socket.on("close", () => done(undefined));
    });
  }
}

/** Whether a message answers what was sent: same id, a response, same question. */
function answers(message: Buffer, sent: Buffer, question: Buffer): boolean {
  if (message.length < QUESTION_AT || message.readUInt16BE(0) !== sent.readUInt16BE(0)) return false;
  if ((message.readUInt16BE(2) & 0x8000) === 0) return false;
  // Errors may come without the question.
  if (message.readUInt16BE(4) === 0) return (message.readUInt16BE(2) & 0xf) !== 0;
  const end = QUESTION_AT + question.length;
  return message.toString("latin1", QUESTION_AT, end).toLowerCase() === question.toString("latin1").toLowerCase();
}
