import { mkdir, readFile, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { type Client, credentials } from "@grpc/grpc-js";
import { RateLimitServiceClient } from "@lateen/proto/envoy/service/ratelimit/v3/rls";
import { eventually } from "@lateen/test-support";
import type { ControlPlane, Identity } from "./control-plane.ts";
import { read } from "./http.ts";
import { app, Program, program } from "./programs.ts";

const STARTED_MS = 60_000;

/** A mixer as a process of its own, whose CA and galley are the control plane's. */
export interface RunningMixer {
  readonly name: string;
  /** Of its gRPC services. */
  readonly port: number;
  /** What it exports, as Prometheus reads it. */
  metrics(): Promise<string>;
  readonly log: () => string;
  stop(): Promise<void>;
}

export async function startMixer(
  plane: ControlPlane,
  name: string,
  flags: Readonly<Record<string, string>>,
): Promise<RunningMixer> {
  const folder = join(plane.folder, "components", name);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const account = { namespace: "istio-system", serviceAccount: "istio-mixer-service-account", name };
  await writeFile(join(folder, "token"), plane.token(account), { mode: 0o600 });
  await writeFile(join(folder, "root-cert.pem"), plane.rootPem);
  const portsFile = join(folder, "ports.json");
  const all: Readonly<Record<string, string>> = {
    "run-dir": folder,
    "ca-address": `127.0.0.1:${plane.portOf("ca")}`,
    "galley-address": `127.0.0.1:${plane.portOf("config")}`,
    "token-public-key": join(plane.folder, "token-pub.pem"),
    "ports-file": portsFile,
    "telemetry-port": "0",
    "metrics-port": "0",
    "prometheus-port": "0",
    ...flags,
  };
  const argv = [
    process.execPath,
    app("mixer"),
    ...Object.entries(all).flatMap(([flag, value]) => [`--${flag}`, value]),
  ];
  const running = new Program(name, argv);
  const ports = await eventually(
    `${name} serves`,
    async () => {
      running.alive();
      return JSON.parse(await readFile(portsFile, "utf8")) as { readonly als: number; readonly prometheus: number };
    },
    STARTED_MS,
  );
  const metrics = async () => (await read({ host: "127.0.0.1", port: ports.prometheus, path: "/metrics" })).body;
  return { name, port: ports.als, metrics, log: () => running.output, stop: () => running.stop() };
}

/** A client of a mixer's rate-limit service, with the identity of a workload. */
export function rateLimitClient(port: number, identity: Identity): RateLimitServiceClient {
  const { rootsPem, privateKeyPem, certChainPem } = identity;
  const secure = credentials.createSsl(Buffer.from(rootsPem), Buffer.from(privateKeyPem), Buffer.from(certChainPem));
  const name = "istio-mixer.istio-system.svc";
  return new RateLimitServiceClient(`127.0.0.1:${port}`, secure, { "grpc.ssl_target_name_override": name });
}

/** Resolves when a gRPC client is connected, so that the first question does not pay for it. */
export function connected(client: Client): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  client.waitForReady(Date.now() + STARTED_MS, (error) => (error ? reject(error) : resolve()));
  return promise;
}

/** A real Redis without persistence. */
export class Redis {
  readonly port: number;
  #program: Program;

  private constructor(port: number, started: Program) {
    this.port = port;
    this.#program = started;
  }

  static async start(port: number): Promise<Redis> {
    const redis = new Redis(port, launch(port));
    await redis.#answers();
    return redis;
  }

  /** As `kill -9`. */
  async kill(): Promise<void> {
    this.#program.signal("SIGKILL");
    await this.#program.end;
  }

  /** Starts it again, with nothing in it. */
  async restart(): Promise<void> {
    this.#program = launch(this.port);
    await this.#answers();
  }

  /** It keeps its connections and answers nothing. */
  freeze(): void {
    this.#program.signal("SIGSTOP");
  }

  thaw(): void {
    this.#program.signal("SIGCONT");
  }

  async stop(): Promise<void> {
    this.thaw();
    await this.#program.stop();
  }

  #answers(): Promise<true> {
    return eventually(
      "Redis listens",
      async () => {
        this.#program.alive();
        return (await listens(this.port)) ? true : undefined;
      },
      STARTED_MS,
      20,
    );
  }
}

function launch(port: number): Program {
  const found = program("redis-server");
  if (found.path === undefined) throw new Error(found.reason);
  const options = ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
  return new Program("Redis", [found.path, ...options]);
}

function listens(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect({ host: "127.0.0.1", port });
  socket.once("connect", () => {
    socket.destroy();
    resolve(true);
  });
  socket.once("error", () => resolve(false));
  return promise;
}
