import { createHash } from "node:crypto";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { sleep } from "@lateen/kernel";
import { ensureDirectory, isErrno } from "@lateen/runtime";
import { spread } from "../control/control-plane.ts";
import { agentNotReady } from "../errors.ts";
import { replaceFile } from "../files.ts";
import { meshRestarts } from "../process/backoff.ts";
import { ManagedProcess, type ProcessExit } from "../process/managed-process.ts";
import type { PodDependencies } from "./dependencies.ts";
import { describeExit, type ProxyInput, podEnvironment, settingsOf } from "./proxy.ts";

/** Where an agent serves, and what it wrote for its clients. */
export interface AgentView {
  /** Directory with `cert-chain.pem`, `key.pem` and `root-cert.pem`, which are kept fresh. */
  readonly folder: string;
  /** Unix socket of secrets and configuration. */
  readonly socket: string;
  /** Bootstrap of a stock Envoy. */
  readonly envoy: unknown;
  /** What `GRPC_XDS_BOOTSTRAP` names. */
  readonly grpc: unknown;
}

/** How long an agent may take until it has a certificate. */
const READY_MS = 30_000;
const POLL_MS = 50;

/** The agent process of one pod, for a proxy that is not ours or for gRPC without one; started when somebody asks for it. */
export class PodAgent {
  readonly #input: Omit<ProxyInput, "place">;
  readonly #deps: PodDependencies;
  readonly #folder: string;
  readonly #socket: string;
  readonly #process: ManagedProcess;
  #started: Promise<void> | undefined;
  #lastExit: ProcessExit | undefined;
  #lastLine = "";

  constructor(input: Omit<ProxyInput, "place">, deps: PodDependencies) {
    this.#input = input;
    this.#deps = deps;
    this.#folder = join(input.runDirectory, "agent");
    const { namespace, name, workload } = input.blueprint;
    // A socket's path may have about 100 characters only, and a pod's directory may be longer.
    const hash = createHash("sha256").update(`${namespace}/${name}`).digest("hex").slice(0, 6);
    this.#socket = join(deps.state.root, `agent-${hash}`);
    this.#process = new ManagedProcess({
      name: `agent of ${namespace}/${name}`,
      kind: "own",
      spec: async () => ({ argv: this.#argv(), env: this.#environment() }),
      restarts: meshRestarts,
      clock: deps.clock,
      ledger: deps.ledger,
      setpriv: deps.setpriv,
      onLine: (stream, line) => {
        this.#lastLine = line;
        deps.onLine({ namespace, pod: name, workload, source: "proxy", container: "istio-agent", stream, line });
      },
      onStart: () => {},
      onExit: (exit) => {
        this.#lastExit = exit;
      },
    });
  }

  /** Writes the run directory and starts the process. */
  async #start(): Promise<void> {
    await ensureDirectory(this.#folder);
    // Of an earlier process: only what this one writes counts.
    await rm(join(this.#folder, "grpc.json"), { force: true });
    await Promise.all([this.refreshToken(), replaceFile(join(this.#folder, "root-cert.pem"), this.#deps.rootPem)]);
    this.#process.start();
  }

  /** What it serves, once it does; the first one who asks starts it. @throws LTN7014 when it has no certificate in time. */
  async view(): Promise<AgentView> {
    this.#started ??= this.#start();
    await this.#started;
    const deadline = this.#deps.clock.monotonic() + READY_MS;
    for (;;) {
      // Written last.
      const grpc = await readFile(join(this.#folder, "grpc.json"), "utf8").catch((error: unknown) => {
        if (isErrno(error, "ENOENT")) return undefined;
        throw error;
      });
      if (grpc !== undefined) {
        const envoy = await readFile(join(this.#folder, "envoy.json"), "utf8");
        return { folder: this.#folder, socket: this.#socket, envoy: JSON.parse(envoy), grpc: JSON.parse(grpc) };
      }
      if (this.#deps.clock.monotonic() > deadline) throw agentNotReady(this.#input.blueprint.name, this.#reason());
      await sleep(this.#deps.clock, POLL_MS);
    }
  }

  #reason(): string {
    if (this.#process.pid === undefined && this.#lastExit !== undefined) return describeExit(this.#lastExit);
    return this.#lastLine.slice(0, 300);
  }

  async refreshToken(): Promise<void> {
    const { namespace, serviceAccount, name } = this.#input.blueprint;
    await replaceFile(join(this.#folder, "token"), this.#deps.mintToken({ namespace, serviceAccount, name }));
  }

  /** Ends the process; it is started again by its restart policy. */
  restart(): void {
    this.#process.kill("SIGTERM");
  }

  stop(graceMs: number): Promise<void> {
    return this.#process.stop(graceMs);
  }

  #environment(): Record<string, string> {
    const { environment, bootstrap } = settingsOf(this.#input.blueprint, this.#deps);
    return { ...environment, PROXY_CONFIG: JSON.stringify(bootstrap), ...podEnvironment(this.#input, this.#deps) };
  }

  #argv(): readonly string[] {
    const { address, blueprint } = this.#input;
    const addresses = this.#deps.controlPlane();
    const flags: Record<string, string> = {
      role: blueprint.kind === "gateway" ? "router" : "sidecar",
      "run-dir": this.#folder,
      ...(addresses === undefined
        ? {}
        : {
            "discovery-address": spread(addresses.discovery, address),
            "ca-address": spread(addresses.ca, address),
            "ca-server-name": addresses.caName,
          }),
      socket: this.#socket,
      // At the pods' addresses are our own proxies, and the usual ports of this pod's address are taken.
      "bind-address": "127.0.0.1",
      "admin-port": "0",
      "stats-port": "0",
    };
    return [...this.#deps.agent, ...Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value])];
  }
}
