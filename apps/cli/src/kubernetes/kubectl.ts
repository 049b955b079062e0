import { spawn } from "node:child_process";
import type { Cli } from "../cli.ts";
import { clusterRefused, noKubectl } from "../errors.ts";

export interface ClusterOptions {
  readonly kubeconfig?: string;
  readonly context?: string;
}

/** What kubectl said. */
export interface Said {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/**
 * The user's kubectl: it knows every way to log in that their clusters want. Names it by LATEEN_KUBECTL where it is not on the PATH.
 */
export class Kubectl {
  readonly #cli: Cli;
  readonly #flags: readonly string[];

  constructor(cli: Cli, { kubeconfig, context }: ClusterOptions) {
    this.#cli = cli;
    this.#flags = [
      ...(kubeconfig === undefined ? [] : [`--kubeconfig=${kubeconfig}`]),
      ...(context === undefined ? [] : [`--context=${context}`]),
    ];
  }

  /** Runs it, whatever comes out. @throws LTN7509 when there is no kubectl. */
  run(args: readonly string[], input = ""): Promise<Said> {
    const program = this.#cli.env.LATEEN_KUBECTL || "kubectl";
    const { promise, resolve, reject } = Promise.withResolvers<Said>();
    const child = spawn(program, [...this.#flags, ...args], { cwd: this.#cli.cwd, env: { ...this.#cli.env } });
    let out = "";
    let err = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      out += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      err += text;
    });
    child.on("error", () => reject(noKubectl(program)));
    child.on("close", (code) => resolve({ code: code ?? 1, out, err }));
    child.stdin.on("error", () => {});
    child.stdin.end(input);
    return promise;
  }

  /** Runs it and wants it to succeed. @returns its output. @throws LTN7510 with what it said. */
  async must(args: readonly string[], input = ""): Promise<string> {
    const { code, out, err } = await this.run(args, input);
    if (code !== 0) throw clusterRefused(`kubectl ${args[0]}`, err.trim() || out.trim() || `it ended with ${code}`);
    return out;
  }
}
