import { readFile } from "node:fs/promises";
import { type Clock, type Logger, messageOf } from "@lateen/kernel";
import { controlPlaneUnavailable } from "../errors.ts";
import { controlPlaneEconomy } from "../process/economy.ts";
import type { ProcessLedger } from "../process/ledger.ts";
import { ProbedProcess } from "../process/probed-process.ts";
import { type SocketResponse, socketRequest } from "../socket-client.ts";
import type { StateDir } from "../state-dir.ts";
import { type ControlPlane, type ControlPlaneAddresses, readJson } from "./control-plane.ts";
import type { ControlPlanePorts } from "./ports.ts";

/** One certificate has all names of the control plane. */
const SERVER_NAME = "istiod.istio-system.svc";

export interface EmbeddedControlPlaneOptions {
  /** Program and first arguments. */
  readonly command: readonly string[];
  readonly state: StateDir;
  /** Files and directories of configuration, the built-in file first. */
  readonly configPaths: readonly string[];
  readonly clusterId: string;
  /** Where proxies reach it; people do on 127.0.0.1. */
  readonly host: string;
  /** Of all identities; it stays what it was at the start of the mesh. */
  readonly trustDomain: string;
  readonly inherited: ReadonlyMap<string, string>;
  readonly clock: Clock;
  readonly ledger: ProcessLedger;
  readonly logger: Logger;
  readonly onLine: (stream: "stdout" | "stderr", line: string) => void;
  /** It serves (again); the ports may differ from before. */
  readonly onReady: (ports: ControlPlanePorts) => void;
  readonly onDown: () => void;
}

/** All of it in one process, and the socket that is asked through. */
export class EmbeddedControlPlane implements ControlPlane {
  readonly #options: EmbeddedControlPlaneOptions;
  readonly #process: ProbedProcess;
  #ports: ControlPlanePorts | undefined;

  constructor(options: EmbeddedControlPlaneOptions) {
    this.#options = options;
    const { clock, ledger, logger, onLine } = options;
    this.#process = new ProbedProcess({
      name: "control-plane",
      spec: async () => ({
        argv: this.#argv(),
        env: { ...controlPlaneEconomy.env, ...Object.fromEntries(options.inherited) },
      }),
      check: () => this.#check(),
      periodMs: 2_000,
      clock,
      ledger,
      setpriv: undefined,
      onLine,
      onReady: (ready) => (ready ? this.#becameReady() : options.onDown()),
      onExit: (exit) => {
        logger.warn({ event: "control_plane.exited", ...exit });
        options.onDown();
      },
    });
  }

  get ports(): ControlPlanePorts | undefined {
    return this.#ports;
  }
  get addresses(): ControlPlaneAddresses | undefined {
    const ports = this.#ports;
    if (ports === undefined) return undefined;
    const at = (port: number) => `${this.#options.host}:${port}`;
    return {
      discovery: at(ports.xds),
      ca: at(ports.xds),
      caName: SERVER_NAME,
      config: at(ports.config),
      configName: SERVER_NAME,
      telemetry: at(ports.als),
      telemetryName: SERVER_NAME,
      accessLogPorts: [ports.als],
    };
  }
  readonly processes: readonly string[] = ["control-plane"];
  get ready(): boolean {
    return this.#process.ready;
  }
  get pid(): number | undefined {
    return this.#process.pid;
  }

  start(): void {
    this.#process.start();
  }

  stop(graceMs: number): Promise<void> {
    return this.#process.stop(graceMs);
  }

  async request(method: string, path: string, body?: unknown, timeoutMs?: number): Promise<SocketResponse> {
    try {
      return await socketRequest({
        socketPath: this.#options.state.controlSocket,
        method,
        path,
        ...(body === undefined ? {} : { body }),
        ...(timeoutMs === undefined ? {} : { timeoutMs }),
      });
    } catch (error) {
      throw controlPlaneUnavailable(error);
    }
  }

  read(path: string): Promise<unknown> {
    return readJson(this, path);
  }

  /** It needs none: it holds the CA itself. */
  async refreshTokens(): Promise<void> {}

  #argv(): readonly string[] {
    const { command, state, configPaths, clusterId, trustDomain, host } = this.#options;
    return [
      ...command,
      ...["--state-dir", state.root, "--host", host, "--http-host", "127.0.0.1", "--cluster-id", clusterId],
      ...["--trust-domain", trustDomain],
      ...configPaths.flatMap((path) => ["--config", path]),
      ...portFlags(this.#ports),
    ];
  }

  async #check() {
    try {
      const { controlSocket } = this.#options.state;
      const response = await socketRequest({ socketPath: controlSocket, path: "/ready", timeoutMs: 2_000 });
      if (response.status !== 200) return { ok: false as const, reason: `not ready: ${response.body.slice(0, 200)}` };
      const ports = parsePorts(await readFile(this.#options.state.controlPlaneFile, "utf8"), this.pid);
      // It answers before it has written its ports; what an earlier one wrote leads nowhere.
      if (ports === undefined) return { ok: false as const, reason: "its ports are not known yet" };
      this.#ports = ports;
      return { ok: true as const };
    } catch (error) {
      return { ok: false as const, reason: messageOf(error) };
    }
  }

  #becameReady(): void {
    if (this.#ports !== undefined) this.#options.onReady(this.#ports);
  }
}

/** A control plane that is started again asks for the ports it had: the proxies know no others. */
function portFlags(ports: ControlPlanePorts | undefined): readonly string[] {
  if (ports === undefined) return [];
  const byFlag = {
    "xds-port": ports.xds,
    "ca-port": ports.ca,
    "config-port": ports.config,
    "telemetry-port": ports.als,
    "metrics-port": ports.metrics,
    "http-port": ports.http,
    "prometheus-port": ports.prometheus,
  };
  return Object.entries(byFlag).flatMap(([flag, port]) => [`--${flag}`, String(port)]);
}

/** The ports that the process `pid` wrote; undefined when another one wrote the file. */
function parsePorts(text: string, pid: number | undefined): ControlPlanePorts | undefined {
  const value: unknown = JSON.parse(text);
  if (typeof value !== "object" || value === null || !("pid" in value) || value.pid !== pid) return undefined;
  const port = (name: keyof ControlPlanePorts): number => {
    const found = (value as Record<string, unknown>)[name];
    return typeof found === "number" ? found : 0;
  };
  return {
    xds: port("xds"),
    ca: port("ca"),
    config: port("config"),
    als: port("als"),
    metrics: port("metrics"),
    http: port("http"),
    prometheus: port("prometheus"),
  };
}
