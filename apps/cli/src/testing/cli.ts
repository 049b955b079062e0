import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { Cli } from "../cli.ts";
import { runCli } from "../program.ts";

/** What a command left behind. */
export interface Outcome {
  readonly code: number | undefined;
  readonly out: string;
  readonly err: string;
}

/** An answer of the mesh: it cannot now. */
export class Outage {
  readonly error: { readonly code: string; readonly message: string; readonly hint?: string };

  constructor(error: Outage["error"]) {
    this.error = error;
  }
}

/** A machine for commands: a home, files, and perhaps a mesh that answers. */
export class TestMachine {
  readonly folder = mkdtempSync(join(tmpdir(), "lateen-cli-"));
  /** What was asked of the mesh: `METHOD path body`. */
  readonly asked: string[] = [];
  #mesh: Server | undefined;

  /** Writes a file below the working directory. */
  file(name: string, text: string): string {
    const path = join(this.folder, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
    return name;
  }

  /** A mesh on its admin socket that answers these paths; a number is a status. */
  async mesh(answers: Readonly<Record<string, unknown>>): Promise<void> {
    const socket = join(this.folder, "home/default/admin.sock");
    mkdirSync(dirname(socket), { recursive: true });
    const server = createServer((request, response) => {
      let body = "";
      request.on("data", (part: Buffer) => {
        body += part.toString();
      });
      request.on("end", () => {
        this.asked.push(`${request.method} ${request.url}${body === "" ? "" : ` ${body}`}`);
        const answer = answers[request.url ?? ""];
        response.statusCode = answer === undefined ? 400 : answer instanceof Outage ? 503 : 200;
        const refusal = { error: { code: "LTN7008", message: `nothing at ${request.url}` } };
        response.setHeader("content-type", "application/json");
        response.end(JSON.stringify(answer instanceof Outage ? { error: answer.error } : (answer ?? refusal)));
      });
    });
    this.#mesh = server;
    await new Promise<void>((resolve) => server.listen(socket, resolve));
  }

  /** Runs a command line. */
  async run(
    argv: readonly string[],
    options: { readonly input?: string; readonly env?: Readonly<Record<string, string>> } = {},
  ): Promise<Outcome> {
    let out = "";
    let err = "";
    const cli: Cli = {
      env: { LATEEN_HOME: join(this.folder, "home"), ...options.env },
      cwd: this.folder,
      home: this.folder,
      out: (text) => {
        out += text;
      },
      err: (text) => {
        err += text;
      },
      outColor: false,
      errColor: false,
      errIsTerminal: false,
      readInput: async () => options.input ?? "",
    };
    const code = await runCli(argv, cli);
    return { code, out, err };
  }

  close(): void {
    this.#mesh?.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
