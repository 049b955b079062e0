import { type ChildProcess, spawn } from "node:child_process";
import { createInterface, type Interface } from "node:readline";
import { Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData } from "@grpc/grpc-js";
import type { Identity } from "./control-plane.ts";
import type { Upstream } from "./upstream.ts";

const bytes = (value: Buffer) => value;
const definition = {
  say: {
    path: "/echo.Echo/Say",
    requestStream: false,
    responseStream: false,
    requestSerialize: bytes,
    requestDeserialize: bytes,
    responseSerialize: bytes,
    responseDeserialize: bytes,
  },
};

/** A gRPC server that answers with its name; with an identity it wants mesh mTLS. */
export async function startGrpc(name: string, address: string, port: number, identity?: Identity): Promise<Upstream> {
  const server = new Server();
  server.addService(definition, {
    say: (_call: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>) => done(null, Buffer.from(name)),
  });
  const credentials =
    identity === undefined
      ? ServerCredentials.createInsecure()
      : ServerCredentials.createSsl(
          Buffer.from(identity.rootsPem),
          [{ cert_chain: Buffer.from(identity.certChainPem), private_key: Buffer.from(identity.privateKeyPem) }],
          true,
        );
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.bindAsync(`${address}:${port}`, credentials, (error) => (error === null ? resolve() : reject(error)));
  await promise;
  return { close: async () => server.forceShutdown() };
}

/** Answer → how often it came. */
export type Tally = Readonly<Record<string, number>>;

/** A client program of `clients/`. */
export class GrpcClient {
  readonly #child: ChildProcess;
  readonly #lines: Interface;
  #errors = "";

  constructor(argv: readonly string[], bootstrap: string) {
    const [command = "", ...rest] = argv;
    const env = { ...process.env, GRPC_XDS_BOOTSTRAP: bootstrap };
    this.#child = spawn(command, rest, { env, stdio: ["pipe", "pipe", "pipe"] });
    this.#child.stderr?.setEncoding("utf8").on("data", (chunk: string) => {
      this.#errors = (this.#errors + chunk).slice(-4_000);
    });
    if (this.#child.stdout === null) throw new Error("no output");
    this.#lines = createInterface({ input: this.#child.stdout });
  }

  /** Makes so many calls. @throws Error when the program ended. */
  async call(target: string, count: number, seconds = 10): Promise<Tally> {
    const { promise, resolve, reject } = Promise.withResolvers<Tally>();
    if (this.#child.exitCode !== null) throw new Error(`the client ended: ${this.#errors}`);
    const over = () => reject(new Error(`the client ended: ${this.#errors}`));
    this.#child.once("exit", over);
    this.#lines.once("line", (line) => {
      this.#child.off("exit", over);
      resolve(JSON.parse(line) as Tally);
    });
    this.#child.stdin?.write(`${target} ${count} ${seconds}\n`);
    return await promise;
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const ended = new Promise((resolve) => this.#child.once("exit", resolve));
    this.#child.kill("SIGKILL");
    await ended;
  }
}
