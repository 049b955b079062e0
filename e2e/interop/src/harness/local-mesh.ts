import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { eventually } from "@lateen/test-support";
import { Program } from "./programs.ts";

const launcher = resolve(import.meta.dirname, "../../../../apps/cli/bin/lateen.mjs");
/** A machine that does other things as well takes its time. */
const STARTED_MS = 110_000;

/** How a command of `lateen` ended. */
export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A mesh that `lateen up` runs, with everything as users have it. */
export class LocalMesh {
  readonly home: string;
  readonly #env: NodeJS.ProcessEnv;
  readonly #programs: Program[] = [];

  private constructor(home: string, env: NodeJS.ProcessEnv) {
    this.home = home;
    this.#env = env;
  }

  /** Starts one and resolves when `lateen status` says that it is ready. @param flags of `lateen up`. */
  static async start(flags: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<LocalMesh> {
    const home = await mkdtemp(join(tmpdir(), "lateen-own-"));
    const mesh = new LocalMesh(home, { ...process.env, NO_COLOR: "1", LATEEN_HOME: home, ...env });
    try {
      const up = mesh.spawn("lateen up", ["up", ...flags]);
      await mesh.ready(up);
      return mesh;
    } catch (error) {
      await mesh.stop();
      throw error;
    }
  }

  /** Waits until everything in the mesh is ready. @param also a program that must not end before. */
  async ready(also: Program): Promise<void> {
    await eventually(
      "the mesh is ready",
      async () => {
        also.alive();
        const { code, stdout, stderr } = await this.lateen("status", "-o", "json");
        if (code !== 0) throw new Error(stderr || stdout.slice(-1_500));
        return true;
      },
      STARTED_MS,
      250,
    );
  }

  /** Runs a command of `lateen` that stays. */
  spawn(name: string, argv: readonly string[], env: NodeJS.ProcessEnv = {}): Program {
    const program = new Program(name, [process.execPath, launcher, ...argv], { ...this.#env, ...env });
    this.#programs.push(program);
    return program;
  }

  /** Runs a command of `lateen` to its end. */
  lateen(...argv: readonly string[]): Promise<Ended> {
    const { promise, resolve: ended } = Promise.withResolvers<Ended>();
    const options = { env: this.#env, maxBuffer: 64 * 1024 * 1024 };
    execFile(process.execPath, [launcher, ...argv], options, (error, stdout, stderr) =>
      ended({ code: error === null ? 0 : Number(error.code ?? 1), stdout, stderr }),
    );
    return promise;
  }

  async stop(): Promise<void> {
    for (const program of this.#programs.reverse()) await program.stop();
    await rm(this.home, { recursive: true, force: true });
  }
}
