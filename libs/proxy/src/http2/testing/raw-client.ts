import { connect, type Socket } from "node:net";
import { PREFACE, readUint32 } from "../frames.ts";

/** A frame as it came. */
export interface RawFrame {
  readonly type: number;
  readonly flags: number;
  readonly id: number;
  readonly payload: Buffer;
}

/** A client that says whatever it likes in frames of its own making. */
export class RawClient {
  readonly socket: Socket;
  readonly frames: RawFrame[] = [];
  closed = false;
  #bytes = Buffer.alloc(0);
  #waiting: (() => void)[] = [];

  constructor(port: number) {
    this.socket = connect({ port, host: "127.0.0.1" });
    this.socket.on("data", (bytes: Buffer) => this.#received(bytes));
    this.socket.on("error", () => {});
    this.socket.on("close", () => {
      this.closed = true;
      this.#wake();
    });
    this.socket.write(PREFACE);
    this.send(4, 0, 0);
  }

  send(type: number, flags: number, id: number, payload: Uint8Array = Buffer.alloc(0)): void {
    if (!this.socket.destroyed) this.socket.write(frame(type, flags, id, payload));
  }

  raw(bytes: Buffer): void {
    if (!this.socket.destroyed) this.socket.write(bytes);
  }

  /** The first frame that fits, once there is one; undefined: the connection ended without it. */
  async until(fits: (frame: RawFrame) => boolean): Promise<RawFrame | undefined> {
    for (;;) {
      const found = this.frames.find(fits);
      if (found !== undefined || this.closed) return found;
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  /** Error code of the GOAWAY that ends the connection; undefined: it ended without one. */
  async goaway(): Promise<number | undefined> {
    const last = await this.until(({ type, payload }) => type === 7 && readUint32(payload, 4) !== 0);
    return last === undefined ? undefined : readUint32(last.payload, 4);
  }

  /** Error code of the RST_STREAM of a stream. */
  async reset(id: number): Promise<number | undefined> {
    const found = await this.until((one) => one.type === 3 && one.id === id);
    return found === undefined ? undefined : readUint32(found.payload, 0);
  }

  async end(): Promise<void> {
    while (!this.closed) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  #received(bytes: Buffer): void {
    this.#bytes = Buffer.concat([this.#bytes, bytes]);
    for (;;) {
      const length = this.#bytes.length < 9 ? -1 : this.#bytes.readUIntBE(0, 3);
      if (length < 0 || this.#bytes.length < 9 + length) break;
      this.frames.push({
        type: this.#bytes[3] ?? 0,
        flags: this.#bytes[4] ?? 0,
        id: readUint32(this.#bytes, 5) & 0x7fff_ffff,
        payload: Buffer.from(this.#bytes.subarray(9, 9 + length)),
      });
      this.#bytes = this.#bytes.subarray(9 + length);
    }
    this.#wake();
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }
}

export function frame(type: number, flags: number, id: number, payload: Uint8Array = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(id, 5);
  return Buffer.concat([head, payload]);
}

/** `GET / HTTP/2` to `shop`, and more fields as literals that enter no table. */
export function request(fields: readonly (readonly [name: string, value: string])[] = [], method = 0x82): Buffer {
  return Buffer.concat([
    Buffer.from([method, 0x86, 0x84, 0x01, 4]),
    Buffer.from("shop"),
    ...fields.map(([name, value]) => literal(name, value)),
  ]);
}

export function literal(name: string, value: string, indexed = false): Buffer {
  return Buffer.concat([Buffer.from([indexed ? 0x40 : 0]), text(name), text(value)]);
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value, "latin1");
  const { length } = bytes;
  if (length < 127) return Buffer.concat([Buffer.from([length]), bytes]);
  const rest = length - 127;
  return Buffer.concat([Buffer.from([127, (rest & 127) | 128, ((rest >> 7) & 127) | 128, rest >> 14]), bytes]);
}
