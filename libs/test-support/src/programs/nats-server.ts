import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ensureService } from "@lateen/services";
import { freePort } from "../ports/free-port.ts";

/** Where nats-server is; a reason when it cannot be had here. With `CI=true` one that could be had is a failure. */
export function natsServerPath(): { readonly path: string } | { readonly path: undefined; readonly reason: string } {
  const service = ensureService("nats-server");
  if (service.path === undefined && process.env.CI === "true" && service.installable) {
    throw new Error(`nats-server: ${service.reason}`);
  }
  return service.path === undefined
    ? { path: undefined, reason: `nats-server: ${service.reason}` }
    : { path: service.path };
}

/** A real nats-server with JetStream in a directory of its own, on one port for its whole life. */
export class NatsServer {
  readonly port: number;
  readonly #folder: string;
  readonly #program: string;
  readonly #config: string;
  #child: ChildProcess | undefined;
  #log = "";

  private constructor(program: string, folder: string, port: number, config: string) {
    this.#program = program;
    this.#folder = folder;
    this.port = port;
    this.#config = config;
  }

  /** @param extra further configuration, such as accounts and TLS. */
  static async start(extra = ""): Promise<NatsServer> {
    const found = natsServerPath();
    if (found.path === undefined) throw new Error(found.reason);
    const folder = await mkdtemp(join(tmpdir(), "lateen-nats-"));
    const server = new NatsServer(found.path, folder, await freePort(), extra);
    await server.up();
    return server;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  get url(): string {
    return `nats://127.0.0.1:${this.port}`;
  }

  /** Starts it (again), on what is in its directory. Resolves when it listens. */
  async up(): Promise<void> {
    const config = join(this.#folder, "server.conf");
    await mkdir(this.#data, { recursive: true });
    await writeFile(
      config,
      `listen: "127.0.0.1:${this.port}"\njetstream { store_dir: ${JSON.stringify(this.#data)} }\n${this.#config}\n`,
    );
    const child = spawn(this.#program, ["-c", config], { stdio: ["ignore", "ignore", "pipe"] });
    this.#child = child;
    await new Promise<void>((resolve, reject) => {
      child.stderr?.setEncoding("utf8").on("data", (text: string) => {
        this.#log += text;
        if (text.includes("Server is ready")) resolve();
      });
      child.once("error", reject);
      child.once("exit", (code) => reject(new Error(`nats-server ended with ${code}: ${this.#log}`)));
    });
  }

  /** Ends it; its data stays. */
  async down(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill(signal);
    await ended;
  }

  /** Stops it from doing anything while its connections stay, and lets it go on. */
  freeze(): void {
    this.#child?.kill("SIGSTOP");
  }
  thaw(): void {
    this.#child?.kill("SIGCONT");
  }

  /** Takes the data away; only while it is down. */
  async wipe(): Promise<void> {
    await rm(this.#data, { recursive: true, force: true });
  }

  /** Copies the data; only while it is down. @returns puts that copy in place of what is there, only while it is down. */
  async backup(): Promise<() => Promise<void>> {
    const copy = await mkdtemp(join(this.#folder, "backup-"));
    await cp(this.#data, copy, { recursive: true });
    return async () => {
      await this.wipe();
      await cp(copy, this.#data, { recursive: true });
    };
  }

  async close(): Promise<void> {
    this.thaw();
    await this.down();
    await rm(this.#folder, { recursive: true, force: true });
  }

  get #data(): string {
    return join(this.#folder, "data");
  }
}
