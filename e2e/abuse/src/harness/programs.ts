import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { ensureService } from "@lateen/services";

/** The full counts are wanted (`npm run test:full`). */
export const FULL = process.env.LATEEN_TEST_FULL === "1";

/** Foreign programs that the suites use. */
export const FOREIGN = ["python3-h2", "curl", "h2load", "nginx", "openssl", "netcat", "slowhttptest", "zzuf"] as const;
export type Foreign = (typeof FOREIGN)[number];
const found = new Map(FOREIGN.map((name) => [name, ensureService(name)]));

/** Why a foreign program is not there; undefined when it is. With `CI=true` one that could be had is not let off. */
export function lacking(...names: readonly Foreign[]): string | undefined {
  for (const name of names) {
    const service = found.get(name);
    if (service === undefined || service.path !== undefined) continue;
    if (process.env.CI === "true" && service.installable) throw new Error(`${name}: ${service.reason}`);
    return `${name}: ${service.reason}`;
  }
  return undefined;
}

/** Title of a block that needs foreign programs, with the reason when it is skipped. */
export function needs(title: string, ...names: readonly Foreign[]): string {
  const reason = lacking(...names);
  return reason === undefined ? title : `${title} (skipped: ${reason})`;
}

export function pathOf(name: Foreign): string {
  return found.get(name)?.path ?? name;
}

export interface Finished {
  readonly code: number;
  /** Standard output, one character a byte. */
  readonly out: string;
  readonly err: string;
}

/** Runs a foreign program to its end. */
export function run(name: Foreign, argv: readonly string[], input: string | Buffer = ""): Promise<Finished> {
  const { promise, resolve, reject } = Promise.withResolvers<Finished>();
  const child = spawn(pathOf(name), argv, { timeout: 170_000 });
  const parts = { out: "", err: "" };
  child.stdout.setEncoding("latin1").on("data", (text: string) => (parts.out += text));
  child.stderr.setEncoding("latin1").on("data", (text: string) => (parts.err += text));
  child.on("error", reject);
  child.on("close", (code) => resolve({ code: code ?? -1, ...parts }));
  // Who does not read its input may be gone before it gets it.
  child.stdin.on("error", () => {});
  child.stdin.end(typeof input === "string" ? Buffer.from(input, "latin1") : input);
  return promise;
}

/** Sends bytes with netcat, and gives back all that came until the peer closed or said nothing for a while. */
export async function netcat(port: number, bytes: string | Buffer, quietSeconds = 3): Promise<string> {
  // Closes its side of nothing: a half-closed connection could be answered otherwise.
  return (await run("netcat", ["-w", String(quietSeconds), "127.0.0.1", String(port)], bytes)).out;
}

/** Runs one of the attacks of `clients/attack.py`, which prints one JSON value. */
export async function attack<T>(port: number, name: string, ...argv: readonly string[]): Promise<T> {
  const script = join(import.meta.dirname, "../clients/attack.py");
  const { out, err } = await run("python3-h2", [script, String(port), name, ...argv]);
  try {
    return JSON.parse(out) as T;
  } catch {
    throw new Error(`${name} said ${out.slice(0, 500)}\n${err.slice(-2_000)}`);
  }
}

/** A process of our own with the last of its output kept. */
export class Daemon {
  readonly #child: ChildProcess;
  readonly #end: Promise<void>;
  #ended: string | undefined;
  output = "";

  constructor(argv: readonly string[], env: NodeJS.ProcessEnv = process.env) {
    const [command = "", ...rest] = argv;
    this.#child = spawn(command, rest, { env, stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [this.#child.stdout, this.#child.stderr])
      stream?.setEncoding("utf8").on("data", (text: string) => (this.output = (this.output + text).slice(-100_000)));
    this.#end = new Promise((resolve) => {
      const ended = (reason: string) => {
        this.#ended ??= reason;
        resolve();
      };
      this.#child.once("error", ({ message }) => ended(message));
      this.#child.once("exit", (code, signal) => ended(`ended with ${signal ?? code}`));
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** @throws Error with its last output when it does not run any more. */
  alive(): void {
    if (this.#ended !== undefined) throw new Error(`${this.#ended}:\n${this.output.slice(-4_000)}`);
  }

  async stop(): Promise<void> {
    if (this.#ended === undefined) this.#child.kill("SIGTERM");
    const force = setTimeout(() => this.#child.kill("SIGKILL"), 5_000);
    await this.#end;
    clearTimeout(force);
  }
}
