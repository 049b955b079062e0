import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ensureService } from "@lateen/services";
import { freePort } from "../ports/free-port.ts";
import { eventually } from "../waiting/eventually.ts";

/** Where redis-server is; a reason when it cannot be had here. With `CI=true` one that could be had is a failure. */
export function redisServerPath(): { readonly path: string } | { readonly path: undefined; readonly reason: string } {
  const service = ensureService("redis-server");
  if (service.path === undefined && process.env.CI === "true" && service.installable) {
    throw new Error(`redis-server: ${service.reason}`);
  }
  return service.path === undefined
    ? { path: undefined, reason: `redis-server: ${service.reason}` }
    : { path: service.path };
}

/** A real Redis without persistence, on loopback. */
export class RedisServer {
  readonly port: number;
  readonly #folder: string;
  readonly #more: readonly string[];
  #process: ChildProcess | undefined;
  #ended: Promise<unknown> = Promise.resolve();

  private constructor(port: number, folder: string, more: readonly string[]) {
    this.port = port;
    this.#folder = folder;
    this.#more = more;
  }

  /** @param more further options of redis-server; with `--port 0` it does not listen in the clear. */
  static async start(more: readonly string[] = []): Promise<RedisServer> {
    const folder = await mkdtemp(join(tmpdir(), "lateen-redis-"));
    const server = new RedisServer(await freePort(), folder, more);
    await server.resume();
    return server;
  }

  /** Starts it (again) on the same port; with nothing in it. */
  async resume(): Promise<void> {
    const found = redisServerPath();
    if (found.path === undefined) throw new Error(found.reason);
    const tls = this.#more.includes("--tls-port");
    const options = [
      ...(tls ? [] : ["--port", String(this.port)]),
      ...this.#more.map((option) => (option === "PORT" ? String(this.port) : option)),
      ...["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", this.#folder],
    ];
    const child = spawn(found.path, options, { stdio: "ignore" });
    this.#process = child;
    this.#ended = new Promise((resolve) => child.once("exit", resolve));
    await eventually("Redis listens", async () => ((await listens(this.port)) ? true : undefined), 30_000, 20);
  }

  /** As `kill -9`. */
  async kill(): Promise<void> {
    this.#process?.kill("SIGKILL");
    await this.#ended;
  }

  /** It keeps its connections and answers nothing. */
  freeze(): void {
    this.#process?.kill("SIGSTOP");
  }

  thaw(): void {
    this.#process?.kill("SIGCONT");
  }

  async stop(): Promise<void> {
    await this.kill();
    await rm(this.#folder, { recursive: true, force: true });
  }
}

function listens(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect({ host: "127.0.0.1", port });
  socket.once("connect", () => {
    socket.destroy();
    resolve(true);
  });
  socket.once("error", () => resolve(false));
  return promise;
}
