import { type ChildProcess, spawn } from "node:child_process";
import { resolve } from "node:path";
import { ensureService } from "@lateen/services";

const apps = resolve(import.meta.dirname, "../../../../apps");

/** Path of a built app of ours. */
export function app(name: string): string {
  return resolve(apps, name, "dist/main.js");
}

/** The foreign program, or why there is none. Looks only: `run.ts` fetched what could be had. */
export function program(
  name: string,
): { readonly path: string } | { readonly path: undefined; readonly reason: string } {
  const found = ensureService(name, { install: false });
  return found.path === undefined ? { path: undefined, reason: found.reason } : { path: found.path };
}

/** Why connections cannot be captured here; undefined when they can. */
export function noCapture(): string | undefined {
  const reason = process.env.LATEEN_INTEROP_NO_CAPTURE ?? "not started by src/run.ts";
  return reason === "" ? undefined : reason;
}

/** A process with the last of its output kept. */
export class Program {
  readonly name: string;
  readonly #child: ChildProcess;
  #output = "";
  #ended: string | undefined;
  readonly #end: Promise<void>;

  /** @param stdout `ignore`: nowhere. A program that opens `/dev/stdout` by its name cannot do so where that is a pipe of node's. */
  constructor(
    name: string,
    argv: readonly string[],
    env: NodeJS.ProcessEnv = process.env,
    stdout: "pipe" | "ignore" = "pipe",
  ) {
    this.name = name;
    const [command = "", ...rest] = argv;
    this.#child = spawn(command, rest, { env, stdio: ["ignore", stdout, "pipe"] });
    const keep = (chunk: string) => {
      this.#output = (this.#output + chunk).slice(-200_000);
    };
    this.#child.stdout?.setEncoding("utf8").on("data", keep);
    this.#child.stderr?.setEncoding("utf8").on("data", keep);
    this.#end = new Promise((finish) => {
      this.#child.once("error", (error) => {
        this.#ended = error.message;
        finish();
      });
      this.#child.once("exit", (code, signal) => {
        this.#ended ??= `ended with ${signal ?? code}`;
        finish();
      });
    });
  }

  /** @throws Error with its last output when it is not running any more. */
  alive(): void {
    if (this.#ended !== undefined) throw new Error(`${this.name} ${this.#ended}:\n${this.output.slice(-4_000)}`);
  }

  get output(): string {
    return this.#output;
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  /** Resolves when it has ended by itself or by a signal. */
  get end(): Promise<void> {
    return this.#end;
  }

  /** Ends it at once, as `kill -9` does. */
  async kill(): Promise<void> {
    if (this.#ended === undefined) this.#child.kill("SIGKILL");
    await this.#end;
  }

  async stop(): Promise<void> {
    if (this.#ended === undefined) this.#child.kill("SIGTERM");
    const cut = setTimeout(() => this.#child.kill("SIGKILL"), 3_000);
    await this.#end;
    clearTimeout(cut);
  }
}
