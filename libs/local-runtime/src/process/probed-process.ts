import type { Clock } from "@lateen/kernel";
import type { ProbeResult } from "../pod/probe.ts";
import { ReadinessLoop } from "../pod/readiness.ts";
import { meshRestarts } from "./backoff.ts";
import type { ProcessLedger } from "./ledger.ts";
import { ManagedProcess, type ProcessExit, type ProcessSpec } from "./managed-process.ts";

export interface ProbedProcessOptions {
  readonly name: string;
  /** Asked before every start. */
  readonly spec: () => Promise<ProcessSpec>;
  /** Asked often until it is ready, then every `periodMs`; three refusals in a row make it not ready. */
  readonly check: () => Promise<ProbeResult>;
  readonly periodMs: number;
  readonly clock: Clock;
  readonly ledger: ProcessLedger;
  /** Full path of `setpriv`, when there is one. */
  readonly setpriv: string | undefined;
  readonly onLine: (stream: "stdout" | "stderr", line: string) => void;
  /** It became ready, or is not any more though it runs. */
  readonly onReady: (ready: boolean) => void;
  /** It ended, and is not ready. */
  readonly onExit: (exit: ProcessExit) => void;
}

/** One of the mesh's own programs: started again quickly when it ends, and asked whether it is ready. */
export class ProbedProcess {
  readonly #process: ManagedProcess;
  readonly #readiness: ReadinessLoop;

  constructor(options: ProbedProcessOptions) {
    const { name, spec, check, periodMs, clock, ledger, setpriv, onLine, onReady, onExit } = options;
    this.#readiness = new ReadinessLoop({
      clock,
      timing: { periodMs, timeoutMs: 2_000, successThreshold: 1, failureThreshold: 3 },
      check,
      onChange: onReady,
    });
    this.#process = new ManagedProcess({
      name,
      kind: "own",
      spec,
      restarts: meshRestarts,
      clock,
      ledger,
      setpriv,
      onLine,
      onStart: () => this.#readiness.start(),
      onExit: (exit) => {
        this.#readiness.stop();
        onExit(exit);
      },
    });
  }

  get ready(): boolean {
    return this.#readiness.ready;
  }
  /** What the last failed check said. */
  get reason(): string {
    return this.#readiness.reason;
  }
  /** Process id while it runs. */
  get pid(): number | undefined {
    return this.#process.pid;
  }
  /** How often it was started again. */
  get restarts(): number {
    return this.#process.restarts;
  }

  start(): void {
    this.#process.start();
  }

  kill(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  /** Ends it for good; killed after `graceMs`. */
  async stop(graceMs: number): Promise<void> {
    this.#readiness.stop();
    await this.#process.stop(graceMs);
  }
}
