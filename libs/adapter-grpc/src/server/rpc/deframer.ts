import { gunzipSync, inflateSync } from "node:zlib";
import { status } from "@grpc/grpc-js";
import { RpcFailure } from "./failure.ts";

/** Compressed flag and length (gRPC over HTTP/2, "Length-Prefixed-Message"). */
const HEAD = 5;

/** Cuts the body of a request into messages, however it arrives. */
export class Deframer {
  readonly #maxBytes: number;
  readonly #encoding: string;
  #chunks: Buffer[] = [];
  #size = 0;

  /** @param encoding `grpc-encoding` of the request. */
  constructor(maxBytes: number, encoding: string) {
    this.#maxBytes = maxBytes;
    this.#encoding = encoding;
  }

  /** Bytes of a message that is not complete. */
  get rest(): number {
    return this.#size;
  }

  /** Takes a chunk and yields the messages that it completes. @throws RpcFailure for messages that may not be read. */
  *push(chunk: Buffer): IterableIterator<Buffer> {
    this.#chunks.push(chunk);
    this.#size += chunk.length;
    while (this.#size >= HEAD) {
      const head = this.#first(HEAD);
      const length = head.readUInt32BE(1);
      if (length > this.#maxBytes) throw tooLarge(this.#maxBytes);
      if (this.#size < HEAD + length) return;
      const all = this.#first(HEAD + length);
      const rest = all.subarray(HEAD + length);
      this.#chunks = rest.length > 0 ? [rest, ...this.#chunks.slice(1)] : this.#chunks.slice(1);
      this.#size -= HEAD + length;
      const message = all.subarray(HEAD, HEAD + length);
      yield head[0] === 0 ? message : this.#expand(message);
    }
  }

  /** The first chunk, made of as many as are needed for so many bytes. */
  #first(bytes: number): Buffer {
    let first = this.#chunks[0] ?? Buffer.alloc(0);
    if (first.length >= bytes) return first;
    let count = 0;
    for (let size = 0; size < bytes; count++) size += this.#chunks[count]?.length ?? bytes;
    first = Buffer.concat(this.#chunks.slice(0, count));
    this.#chunks = [first, ...this.#chunks.slice(count)];
    return first;
  }

  #expand(message: Buffer): Buffer {
    const options = { maxOutputLength: this.#maxBytes };
    try {
      if (this.#encoding === "gzip") return gunzipSync(message, options);
      if (this.#encoding === "deflate") return inflateSync(message, options);
    } catch (error) {
      if ((error as { code?: unknown }).code === "ERR_BUFFER_TOO_LARGE") throw tooLarge(this.#maxBytes);
      throw new RpcFailure(status.INTERNAL, "a compressed message cannot be read");
    }
    throw new RpcFailure(status.UNIMPLEMENTED, "messages are compressed in a way that is not supported");
  }
}

function tooLarge(maxBytes: number): RpcFailure {
  return new RpcFailure(status.RESOURCE_EXHAUSTED, `a message is larger than ${maxBytes} bytes`);
}
