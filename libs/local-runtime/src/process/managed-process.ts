import { type ChildProcess, spawn } from "node:child_process";
import type { CancelTimer, Clock } from "@lateen/kernel";
import { messageOf } from "@lateen/kernel";
import type { RestartPolicy } from "./backoff.ts";
import { killGroup, type ProcessLedger } from "./ledger.ts";
import { LineSplitter } from "./lines.ts";

/** What to execute. */
export interface ProcessSpec {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

/** How a process ended. */
export interface ProcessExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** Set when it could not be started at all. */
  readonly error?: string;
  /** Milliseconds until it is started again; undefined when it is not. */
  readonly restartInMs: number | undefined;
}

export interface ManagedProcessOptions {
  readonly name: string;
  /** Asked before every start. */
  readonly spec: () => Promise<ProcessSpec>;
  /**
   * `own`: one of our node programs; it ends itself when the supervisor is gone. `foreign`: any program; the kernel kills it with
   * the supervisor where `setpriv` is there, else the ledger does at the next start.
   */
  readonly kind: "own" | "foreign";
  /** undefined: an exit is final. */
  readonly restarts: RestartPolicy | undefined;
  readonly clock: Clock;
  readonly ledger: ProcessLedger;
  /** Full path of `setpriv`, when there is one. */
  readonly setpriv: string | undefined;
  readonly onLine: (stream: "stdout" | "stderr", line: string) => void;
  readonly onStart: () => void;
  readonly onExit: (exit: ProcessExit) => void;
}

/** Tells our own programs which descriptor the supervisor holds the other end of; see `runMain`. */
const PARENT_PIPE = { name: "LATEEN_PARENT_FD", fd: 3 };

/**
 * One supervised process, in a process group of its own.
 *
 * ## Idle → Running (start) → Waiting (exit, back-off) → Running …; any → Stopped (stop), which is final.
 */
export class ManagedProcess {
  readonly #options: ManagedProcessOptions;
  #child: ChildProcess | undefined;
  #pid: number | undefined;
  #cancelRestart: CancelTimer | undefined;
  #stopping = false;
  #failures = 0;
  #restarts = 0;
  #startedAt = 0;
  #exited: Promise<void> = Promise.resolve();

  constructor(options: ManagedProcessOptions) {
    this.#options = options;
  }

  /** Process id while it runs. */
  get pid(): number | undefined {
    return this.#pid;
  }

  /** How often it was started again. */
  get restarts(): number {
    return this.#restarts;
  }

  start(): void {
    if (this.#stopping || this.#child) return;
    void this.#launch();
  }

  /** Ends the running process, if any; the restart policy then starts it again. */
  kill(signal: NodeJS.Signals): void {
    if (this.#pid !== undefined) killGroup(this.#pid, signal);
  }

  /** Forgets a waiting back-off and starts at once. */
  restartNow(): void {
    if (this.#cancelRestart === undefined) return;
    this.#cancelRestart();
    this.#cancelRestart = undefined;
    this.#failures = 0;
    this.#relaunch();
  }

  /** SIGTERM, after `graceMs` SIGKILL to the whole group. Resolves when it is gone; it is not started again. */
  async stop(graceMs: number): Promise<void> {
    this.#stopping = true;
    this.#cancelRestart?.();
    this.#cancelRestart = undefined;
    const pid = this.#pid;
    if (pid === undefined) return this.#exited;
    killGroup(pid, "SIGTERM");
    const cancel = this.#options.clock.after(graceMs, () => killGroup(pid, "SIGKILL"));
    await this.#exited;
    cancel();
  }

  async #launch(): Promise<void> {
    let settle = () => {};
    this.#exited = new Promise((resolve) => {
      settle = resolve;
    });
    this.#startedAt = this.#options.clock.monotonic();
    try {
      const spec = await this.#options.spec();
      if (this.#stopping) return settle();
      this.#run(spec, settle);
    } catch (error) {
      this.#ended({ code: null, signal: null, error: messageOf(error) });
      settle();
    }
  }

  #run(spec: ProcessSpec, settle: () => void): void {
    const [command = "", ...args] = this.#guarded(spec.argv);
    const own = this.#options.kind === "own";
    const child = spawn(command, args, {
      env: own ? { ...spec.env, [PARENT_PIPE.name]: String(PARENT_PIPE.fd) } : spec.env,
      ...(spec.cwd === undefined ? {} : { cwd: spec.cwd }),
      detached: true,
      stdio: own ? ["ignore", "pipe", "pipe", "pipe"] : ["ignore", "pipe", "pipe"],
    });
    this.#child = child;
    this.#pid = child.pid;
    let failure: string | undefined;
    child.once("error", (error) => {
      failure = messageOf(error);
      if (child.pid === undefined) finish(null, null);
    });
    // The guard pipe breaks when the child dies; that is told by `exit`.
    child.stdio[PARENT_PIPE.fd]?.on("error", () => {});
    this.#read(child, "stdout");
    this.#read(child, "stderr");
    const finish = (code: number | null, signal: NodeJS.Signals | null) => {
      if (this.#child !== child) return;
      if (child.pid !== undefined) {
        // What the leader left behind in its group goes with it.
        killGroup(child.pid, "SIGKILL");
        this.#options.ledger.remove(child.pid);
      }
      child.stdio[PARENT_PIPE.fd]?.destroy();
      this.#child = undefined;
      this.#pid = undefined;
      this.#ended({ code, signal, ...(failure === undefined ? {} : { error: failure }) });
      settle();
    };
    child.once("exit", finish);
    if (child.pid === undefined) return;
    this.#options.ledger.add(child.pid, this.#options.name);
    this.#options.onStart();
  }

  #guarded(argv: readonly string[]): readonly string[] {
    const { kind, setpriv } = this.#options;
    return kind === "own" || setpriv === undefined ? argv : [setpriv, "--pdeathsig", "KILL", "--", ...argv];
  }

  #read(child: ChildProcess, name: "stdout" | "stderr"): void {
    const stream = child[name];
    if (!stream) return;
    const lines = new LineSplitter((line) => this.#options.onLine(name, line));
    stream.setEncoding("utf8");
    stream.on("data", (text: string) => lines.push(text));
    stream.on("end", () => lines.end());
    stream.on("error", () => {});
  }

  #ended(exit: Omit<ProcessExit, "restartInMs">): void {
    const { clock, restarts, onExit } = this.#options;
    if (this.#stopping || restarts === undefined) {
      onExit({ ...exit, restartInMs: undefined });
      return;
    }
    if (clock.monotonic() - this.#startedAt >= restarts.resetAfterMs) this.#failures = 0;
    this.#failures++;
    const restartInMs = restarts.delayMs(this.#failures);
    this.#cancelRestart = clock.after(restartInMs, () => {
      this.#cancelRestart = undefined;
      this.#relaunch();
    });
    onExit({ ...exit, restartInMs });
  }

  #relaunch(): void {
    this.#restarts++;
    void this.#launch();
  }
}
