import http from "node:http";
import type { Seen, Upstream } from "./upstream.ts";

/** What the application answers: a status, or nothing at all. */
export type Answers = number | "never" | "reset";

/** An application that keeps what it was asked. */
export class Recorder implements Upstream {
  readonly seen: Seen[] = [];
  answers: Answers = 200;
  readonly #server: http.Server;

  private constructor(name: string) {
    this.#server = http.createServer((request, response) => {
      if (this.answers === "reset") {
        request.socket.destroy();
        return;
      }
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => {
        const headers = Object.fromEntries(Object.entries(request.headers).map(([key, value]) => [key, String(value)]));
        const { method = "", url = "" } = request;
        this.seen.push({ pod: name, method, path: url, headers, body: Buffer.concat(chunks).toString("utf8") });
        if (this.answers !== "never") response.writeHead(Number(this.answers), { "x-recorder": name }).end(name);
      });
      request.on("error", () => {});
    });
  }

  static async start(name: string, host: string, port: number): Promise<Recorder> {
    const recorder = new Recorder(name);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    recorder.#server.once("error", reject);
    recorder.#server.listen({ host, port }, resolve);
    await promise;
    return recorder;
  }

  /** Forgets what it was asked. */
  reset(answers: Answers = 200): void {
    this.seen.length = 0;
    this.answers = answers;
  }

  async close(): Promise<void> {
    const closed = new Promise((done) => this.#server.close(done));
    this.#server.closeAllConnections();
    await closed;
  }
}
