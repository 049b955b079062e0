import { type IncomingMessage, request } from "node:http";

/** An HTTP request over a unix socket. */
export interface SocketRequest {
  readonly socketPath: string;
  readonly method?: string;
  readonly path: string;
  readonly body?: unknown;
  /** Default 30 s; 0 waits for ever. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** A whole answer. */
export interface SocketResponse {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

/** Largest answer that is read. */
const MAX_ANSWER_BYTES = 256 * 1024 * 1024;

/** Sends a request and reads the whole answer. Rejects when the socket does not answer. */
export async function socketRequest(options: SocketRequest): Promise<SocketResponse> {
  const response = await openSocketRequest(options);
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of response) {
    const bytes = part as Buffer;
    size += bytes.length;
    if (size > MAX_ANSWER_BYTES) throw new Error("the answer is too large");
    parts.push(bytes);
  }
  return {
    status: response.statusCode ?? 0,
    contentType: response.headers["content-type"] ?? "",
    body: Buffer.concat(parts).toString("utf8"),
  };
}

/** Sends a request; the answer's body is read by the caller. Destroying it closes the connection. */
export function openSocketRequest(options: SocketRequest): Promise<IncomingMessage> {
  const { socketPath, path, signal } = options;
  const text = options.body === undefined ? undefined : JSON.stringify(options.body);
  return new Promise((resolve, reject) => {
    const call = request({
      socketPath,
      path,
      method: options.method ?? (text === undefined ? "GET" : "POST"),
      headers: {
        host: "localhost",
        ...(text === undefined
          ? {}
          : { "content-type": "application/json", "content-length": Buffer.byteLength(text) }),
      },
      agent: false,
      ...(signal === undefined ? {} : { signal }),
    });
    const timeoutMs = options.timeoutMs ?? 30_000;
    if (timeoutMs > 0) call.setTimeout(timeoutMs, () => call.destroy(new Error(`no answer within ${timeoutMs} ms`)));
    call.once("response", resolve);
    call.once("error", reject);
    call.end(text);
  });
}
