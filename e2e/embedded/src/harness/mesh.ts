import { spawn } from "node:child_process";
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { eventually, freePort } from "@lateen/test-support";

const repository = resolve(import.meta.dirname, "../../../..");
const sample = join(repository, "samples/bookinfo");

/** What `lateen status -o json` promises. */
export interface MeshStatus {
  readonly ready: boolean;
  readonly revision: number;
  readonly workloads: readonly {
    readonly namespace: string;
    readonly pod: string;
    readonly workload: string;
    readonly serviceAccount: string;
    readonly ready: boolean;
    readonly address: string;
    readonly ports: readonly { readonly container: number; readonly sidecar: number; readonly private: number }[];
    readonly synced: boolean;
  }[];
  readonly gateways: readonly {
    readonly namespace: string;
    readonly name: string;
    readonly ports: readonly { readonly port: number; readonly listen: number; readonly host: string }[];
  }[];
  readonly rejected: readonly {
    readonly kind: string;
    readonly namespace: string;
    readonly name: string;
    readonly file: string;
    readonly line: number;
    readonly message: string;
  }[];
}

export interface Finished {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs one command to its end. */
export function runCommand(
  argv: readonly string[],
  options: { readonly env?: NodeJS.ProcessEnv; readonly input?: string; readonly timeoutMs?: number } = {},
): Promise<Finished> {
  const { promise, resolve: finish, reject } = Promise.withResolvers<Finished>();
  const [command = "", ...rest] = argv;
  const child = spawn(command, rest, { env: options.env ?? process.env, timeout: options.timeoutMs ?? 60_000 });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    stdout += chunk;
  });
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
    stderr += chunk;
  });
  child.on("error", reject);
  child.on("close", (code, signal) =>
    finish({ code: code ?? 128, stdout, stderr: signal ? `${stderr}[${signal}]` : stderr }),
  );
  // A command that does not read its input may be gone before it gets it.
  child.stdin.on("error", () => {});
  child.stdin.end(options.input ?? "");
  return promise;
}

/** A live local mesh in a state directory of its own. */
export class Mesh {
  readonly folder: string;
  readonly config: string;
  readonly ingress: number;
  readonly env: NodeJS.ProcessEnv;
  /** Before every command, such as what enters a network namespace. */
  readonly prefix: readonly string[];

  constructor(folder: string, ingress: number, prefix: readonly string[] = []) {
    this.folder = folder;
    this.prefix = prefix;
    this.config = join(folder, "config");
    this.ingress = ingress;
    this.env = { ...process.env, LATEEN_HOME: join(folder, "home"), NO_COLOR: "1" };
  }

  /** State directory of the mesh. */
  get state(): string {
    return join(this.folder, "home", "default");
  }

  lateen(...args: readonly string[]): Promise<Finished> {
    const cli = join(repository, "apps/cli/bin/lateen.mjs");
    return runCommand([...this.prefix, process.execPath, cli, ...args], { env: this.env, timeoutMs: 120_000 });
  }

  /** Runs the CLI and expects success. */
  async ok(...args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.lateen(...args);
    if (code !== 0) throw new Error(`lateen ${args.join(" ")} ended with ${code}:\n${stdout}${stderr}`);
    return stdout;
  }

  async up(...args: readonly string[]): Promise<void> {
    await this.ok("up", "-f", this.config, "--ingress-port", String(this.ingress), "--detach", ...args);
  }

  async status(): Promise<MeshStatus> {
    const { stdout, stderr } = await this.lateen("status", "-o", "json");
    if (stdout === "") throw new Error(`status said nothing: ${stderr}`);
    return JSON.parse(stdout) as MeshStatus;
  }

  async pod(workload: string): Promise<MeshStatus["workloads"][number]> {
    const found = (await this.status()).workloads.find((one) => one.workload === workload);
    if (found === undefined) throw new Error(`no workload ${workload}`);
    return found;
  }

  url(path: string): string {
    return `http://127.0.0.1:${this.ingress}${path}`;
  }

  /** Writes a file among the watched ones; `undefined` deletes it. */
  async write(name: string, text: string | undefined): Promise<void> {
    const path = join(this.config, name);
    await mkdir(dirname(path), { recursive: true });
    if (text === undefined) await rm(path, { force: true });
    else await writeFile(path, text);
  }

  /** Puts one of the sample's rules in force by copying it among the watched files. */
  async rule(name: string): Promise<void> {
    await this.write("rule.yaml", await readFile(join(sample, "rules", `${name}.yaml`), "utf8"));
  }

  /** Resolves when every proxy has acknowledged the newest configuration. */
  async synced(): Promise<void> {
    await eventually("all proxies synced", async () => {
      const { ready, workloads } = await this.status();
      return ready && workloads.every((one) => one.synced) ? true : undefined;
    });
  }

  async down(): Promise<void> {
    await this.lateen("down");
    await rm(this.folder, { recursive: true, force: true });
  }
}

/**
 * Prepares a mesh with a copy of the Bookinfo sample among its watched files.
 * @param extra further files, by name, beside the sample's.
 */
export async function prepareMesh(
  extra: Readonly<Record<string, string>> = {},
  prefix: readonly string[] = [],
): Promise<Mesh> {
  const mesh = await emptyMesh(extra, prefix);
  for (const name of ["bookinfo.yaml", "gateway.yaml", "destination-rules.yaml", "lateen.yaml"])
    await cp(join(sample, name), join(mesh.config, name));
  await cp(join(sample, "src"), join(mesh.config, "src"), { recursive: true });
  return mesh;
}

/** Prepares a mesh of these files alone. */
export async function emptyMesh(
  files: Readonly<Record<string, string>>,
  prefix: readonly string[] = [],
): Promise<Mesh> {
  const folder = await mkdtemp(join(tmpdir(), "lateen-e2e-"));
  const mesh = new Mesh(folder, await freePort(), prefix);
  await mkdir(mesh.config, { recursive: true });
  for (const [name, text] of Object.entries(files)) await mesh.write(name, text);
  return mesh;
}

/** Prepares and starts one. */
export async function startMesh(extra: Readonly<Record<string, string>> = {}): Promise<Mesh> {
  const mesh = await prepareMesh(extra);
  try {
    await mesh.up();
  } catch (error) {
    await mesh.down();
    throw error;
  }
  return mesh;
}

/** A rule file of the sample. */
export function sampleRule(name: string): Promise<string> {
  return readFile(join(sample, "rules", `${name}.yaml`), "utf8");
}

/** True when the full counts are wanted (`npm run test:full`). */
export const fullCounts = process.env.LATEEN_TEST_FULL === "1";
