import http from "node:http";
import net from "node:net";

export interface Answer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
  readonly ms: number;
}
export interface CallOptions {
  readonly headers?: Readonly<Record<string, string>>;
  readonly method?: string;
  readonly agent?: http.Agent;
  readonly timeoutMs?: number;
}

/** One request, straight to the address of the URL (no environment proxy). */
export function call(url: string, options: CallOptions = {}): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const start = performance.now();
  const request = http.request(
    url,
    {
      method: options.method ?? "GET",
      headers: options.headers ?? {},
      agent: options.agent ?? false,
      signal: AbortSignal.timeout(options.timeoutMs ?? 20_000),
    },
    (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        body += chunk;
      });
      response.on("error", reject);
      response.on("end", () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body, ms: performance.now() - start }),
      );
    },
  );
  request.on("error", reject);
  request.end();
  return promise;
}

/**
 * Sends bytes on a fresh connection and collects what comes back until the peer closes or falls silent for `quietMs`.
 * A refused or reset connection gives what was read until then.
 */
export function exchange(address: string, port: number, bytes: Uint8Array | string, quietMs = 1_000): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const socket = net.connect({ host: address, port });
  let text = "";
  const done = () => {
    socket.destroy();
    resolve(text);
  };
  socket.setTimeout(quietMs, done);
  socket.on("connect", () => socket.write(bytes));
  socket.on("data", (chunk) => {
    text += chunk.toString("latin1");
  });
  socket.on("error", done);
  socket.on("close", done);
  return promise;
}

/** Sends `count` requests over `parallel` keep-alive connections and counts the answers by `classify`. */
export async function tally(
  url: string,
  count: number,
  classify: (answer: Answer) => string,
  options: CallOptions & { readonly parallel?: number } = {},
): Promise<ReadonlyMap<string, number>> {
  const parallel = options.parallel ?? 16;
  const agent = new http.Agent({ keepAlive: true, maxSockets: parallel });
  const counts = new Map<string, number>();
  let left = count;
  const worker = async () => {
    while (left-- > 0) {
      const key = await call(url, { ...options, agent }).then(classify, (error: Error) => `error: ${error.message}`);
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
  };
  await Promise.all(Array.from({ length: parallel }, worker));
  agent.destroy();
  return counts;
}

/** Steady traffic in the background, as much as is answered or, with `perSecond`, no more than that; `stop` gives what happened. */
export function startLoad(
  url: string,
  options: CallOptions & { readonly parallel?: number; readonly perSecond?: number } = {},
) {
  const parallel = options.parallel ?? 8;
  const agent = new http.Agent({ keepAlive: true, maxSockets: parallel });
  const failures: string[] = [];
  let total = 0;
  let running = true;
  const begun = performance.now();
  /** Milliseconds until the next one is due. */
  const early = () =>
    options.perSecond === undefined ? 0 : begun + (1_000 * total) / options.perSecond - performance.now();
  const worker = async () => {
    while (running) {
      const wait = early();
      total++;
      if (wait > 0) await new Promise((next) => setTimeout(next, wait));
      await call(url, { ...options, agent }).then(
        (answer) => {
          if (answer.status !== 200) failures.push(`${answer.status} ${answer.body.slice(0, 200)}`);
        },
        (error: Error) => failures.push(error.message),
      );
    }
  };
  const workers = Array.from({ length: parallel }, worker);
  return {
    total: () => total,
    /** Ends it where a test failed: what goes on would load the machine under every test after it. */
    [Symbol.dispose]: () => {
      running = false;
    },
    stop: async (): Promise<{ readonly total: number; readonly failures: readonly string[] }> => {
      running = false;
      await Promise.all(workers);
      agent.destroy();
      return { total, failures };
    },
  };
}
