import { ServerInterceptingCall, type ServerInterceptor } from "@grpc/grpc-js";

/** Bytes given to a stream at a time. */
const CHUNK = 32 * 1024;

type Done = (error?: Error | null) => void;

/** What is used of an HTTP/2 stream. */
interface WritableStream {
  write(chunk: Buffer, done: Done): boolean;
  end(): unknown;
}

/**
 * Gives large messages to the network in pieces, the next when the last has left. A TLS connection of Node.js keeps as much memory as was
 * ever written to it at once (Node.js 24: 3.5 MB for one message of that size, until it closes), which a thousand connections would
 * multiply. grpc-js writes a message as a whole and offers no seam below that, so its stream is taken from where its base call keeps it;
 * should it not be there, messages are written as before.
 */
export const pacedWrites: ServerInterceptor = (_method, call) => {
  const { stream } = call as unknown as { readonly stream?: WritableStream };
  if (typeof stream?.write === "function" && typeof stream.end === "function") pace(stream);
  return new ServerInterceptingCall(call);
};

/** Makes a stream write large chunks in pieces, in order, and end after the last. */
export function pace(stream: WritableStream): void {
  const write = stream.write.bind(stream);
  const end = stream.end.bind(stream);
  const waiting: { readonly chunk: Buffer; readonly done: Done }[] = [];
  let ending = false;
  const next = (at: number) => {
    const first = waiting[0];
    if (first === undefined) return;
    const { chunk, done } = first;
    const to = Math.min(chunk.length, at + CHUNK);
    write(chunk.subarray(at, to), (error) => {
      if (!error && to < chunk.length) return next(to);
      waiting.shift();
      next(0);
      // Whoever hears of it may write again.
      done(error);
      if (ending && waiting.length === 0) end();
    });
  };
  stream.write = (chunk, done) => {
    waiting.push({ chunk, done });
    if (waiting.length === 1) next(0);
    return waiting.length < 2;
  };
  stream.end = () => {
    ending = true;
    if (waiting.length === 0) end();
    return stream;
  };
}
