import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type Clock, type Logger, Secret } from "@lateen/kernel";
import { ensureDirectory, isErrno } from "@lateen/runtime";
import { replaceFile } from "../files.ts";
import { meshRestarts } from "../process/backoff.ts";
import type { ProcessLedger } from "../process/ledger.ts";
import { ManagedProcess } from "../process/managed-process.ts";

/** Which NATS the components of a separate control plane use: one of this mesh's own, or one that runs already and asks for no credentials. */
export type NatsChoice =
  | { readonly kind: "own"; readonly program: string }
  | { readonly kind: "running"; readonly url: string };

/** What components are told of it. */
export interface NatsAccess {
  readonly url: string;
  /** File with USER:PASSWORD. */
  readonly credentials: string | undefined;
}

const USER = "lateen";

export interface NatsProcessOptions {
  readonly program: string;
  /** Its configuration, credentials and data. */
  readonly folder: string;
  readonly port: number;
  readonly inherited: ReadonlyMap<string, string>;
  readonly clock: Clock;
  readonly ledger: ProcessLedger;
  readonly setpriv: string | undefined;
  readonly logger: Logger;
  readonly onLine: (stream: "stdout" | "stderr", line: string) => void;
}

/** A nats-server of this mesh's own on 127.0.0.1, with a password only this mesh knows. Nothing waits for it. */
export class NatsProcess {
  readonly access: NatsAccess;
  readonly #options: NatsProcessOptions;
  readonly #process: ManagedProcess;
  readonly #credentials: string;

  constructor(options: NatsProcessOptions) {
    const { folder, port, program, clock, ledger, setpriv, logger, onLine } = options;
    this.#options = options;
    this.#credentials = join(folder, "credentials");
    this.access = { url: `nats://127.0.0.1:${port}`, credentials: this.#credentials };
    this.#process = new ManagedProcess({
      name: "nats",
      kind: "foreign",
      spec: async () => ({
        argv: [program, "-c", join(folder, "server.conf")],
        env: Object.fromEntries(options.inherited),
      }),
      restarts: meshRestarts,
      clock,
      ledger,
      setpriv,
      onLine,
      onStart: () => {},
      onExit: (exit) => logger.warn({ event: "nats.exited", ...exit }),
    });
  }

  async start(): Promise<void> {
    const { folder, port } = this.#options;
    await ensureDirectory(folder, 0o700);
    const password = await this.#password();
    // The data may be lost at any time: galley writes it anew.
    const lines = [
      `listen: "127.0.0.1:${port}"`,
      `jetstream { store_dir: ${JSON.stringify(join(folder, "data"))} }`,
      `authorization { user: "${USER}", password: "${password.revealSecret()}" }`,
    ];
    await replaceFile(join(folder, "server.conf"), `${lines.join("\n")}\n`);
    this.#process.start();
  }

  stop(graceMs: number): Promise<void> {
    return this.#process.stop(graceMs);
  }

  async #password(): Promise<Secret> {
    try {
      const [user, password = ""] = (await readFile(this.#credentials, "utf8")).trim().split(":");
      if (user === USER && /^[0-9a-f]{48}$/.test(password)) return new Secret(password);
    } catch (error) {
      if (!isErrno(error, "ENOENT")) throw error;
    }
    const password = randomBytes(24).toString("hex");
    await replaceFile(this.#credentials, `${USER}:${password}\n`);
    return new Secret(password);
  }
}
