import { request } from "node:http";
import { join } from "node:path";
import type { Clock, Logger } from "@lateen/kernel";
import { ensureDirectory } from "@lateen/runtime";
import { replaceFile } from "../files.ts";
import type { MeshIdentity } from "../identity.ts";
import { controlPlaneEconomy } from "../process/economy.ts";
import type { ProcessLedger } from "../process/ledger.ts";
import { ProbedProcess } from "../process/probed-process.ts";
import type { Component } from "./component-plan.ts";

export interface ComponentProcessOptions {
  readonly component: Component;
  /** Program and all arguments. */
  readonly argv: readonly string[];
  readonly identity: Pick<MeshIdentity, "mint" | "rootPem">;
  readonly inherited: ReadonlyMap<string, string>;
  readonly clock: Clock;
  readonly ledger: ProcessLedger;
  readonly logger: Logger;
  readonly onLine: (stream: "stdout" | "stderr", line: string) => void;
  readonly onChange: () => void;
}

/** One component of the control plane in a process of its own, started again when it ends. */
export class ComponentProcess {
  readonly component: Component;
  readonly #options: ComponentProcessOptions;
  readonly #process: ProbedProcess;

  constructor(options: ComponentProcessOptions) {
    const { component, clock, ledger, logger, onLine } = options;
    this.component = component;
    this.#options = options;
    this.#process = new ProbedProcess({
      name: component.name,
      spec: async () => ({
        argv: options.argv,
        env: { ...controlPlaneEconomy.env, ...Object.fromEntries(options.inherited) },
      }),
      check: () => checkReady(component.ports.metrics ?? 0),
      periodMs: 2_000,
      clock,
      ledger,
      setpriv: undefined,
      onLine,
      onReady: options.onChange,
      onExit: (exit) => {
        logger.warn({ event: "component.exited", component: component.name, ...exit });
        options.onChange();
      },
    });
  }

  get ready(): boolean {
    return this.#process.ready;
  }

  async start(): Promise<void> {
    await ensureDirectory(this.component.folder, 0o700);
    await this.refreshToken();
    this.#process.start();
  }

  stop(graceMs: number): Promise<void> {
    return this.#process.stop(graceMs);
  }

  async refreshToken(): Promise<void> {
    const { component, identity } = this.#options;
    const { folder, name, serviceAccount } = component;
    await replaceFile(join(folder, "root-cert.pem"), identity.rootPem);
    await replaceFile(join(folder, "token"), identity.mint({ namespace: "istio-system", serviceAccount, name }));
  }
}

function checkReady(port: number): Promise<{ ok: true } | { ok: false; reason: string }> {
  return new Promise((resolve) => {
    const call = request({ host: "127.0.0.1", port, path: "/ready", agent: false, timeout: 2_000 }, (response) => {
      response.resume();
      if (response.statusCode === 200) resolve({ ok: true });
      else resolve({ ok: false, reason: `it answers ${response.statusCode}` });
    });
    call.on("timeout", () => call.destroy(new Error("no answer within 2 s")));
    call.on("error", ({ message }) => resolve({ ok: false, reason: message }));
    call.end();
  });
}
