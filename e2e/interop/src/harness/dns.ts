import { createSocket } from "node:dgram";
import type { Upstream } from "./upstream.ts";

const A = 1;
const HEADER_BYTES = 12;

/** A name server of this network namespace (see `run.ts`): it knows addresses of version 4 of the names that it is told. */
export async function startNames(addressOf: (name: string) => string | undefined): Promise<Upstream> {
  const socket = createSocket("udp4");
  socket.on("message", (query, from) => socket.send(answer(query, addressOf), from.port, from.address));
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  socket.once("error", reject);
  socket.bind(53, "127.0.0.1", () => resolve());
  await promise;
  return { close: () => new Promise((done) => socket.close(() => done())) };
}

/** RFC 1035 §4.1: the question repeated, and the address it asks for. */
function answer(query: Buffer, addressOf: (name: string) => string | undefined): Buffer {
  const labels: string[] = [];
  let at = HEADER_BYTES;
  for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
    labels.push(query.toString("latin1", at + 1, at + 1 + length));
    at += length + 1;
  }
  const type = query.readUInt16BE(at + 1);
  const question = query.subarray(HEADER_BYTES, at + 5);
  const address = addressOf(labels.join(".").toLowerCase());
  const known = address !== undefined && type === A;
  const head = Buffer.alloc(HEADER_BYTES);
  query.copy(head, 0, 0, 2);
  // A response, recursion available; NXDOMAIN for names that are not known.
  head.writeUInt16BE(address === undefined ? 0x8183 : 0x8180, 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt16BE(known ? 1 : 0, 6);
  if (!known) return Buffer.concat([head, question]);
  const record = Buffer.from([0xc0, HEADER_BYTES, 0, A, 0, 1, 0, 0, 0, 60, 0, 4, ...address.split(".").map(Number)]);
  return Buffer.concat([head, question, record]);
}
