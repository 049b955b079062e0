import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { ensureService } from "@lateen/services";

/** Why network namespaces cannot be had here; empty when they can. */
export function whyNoNamespaces(): string {
  const iptables = ensureService("iptables");
  if (iptables.path === undefined) return `iptables: ${iptables.reason}`;
  const tried = spawnSync(
    "unshare",
    ["-n", "sh", "-ec", "ip link set lo up; iptables -t nat -L; ip6tables -t nat -L"],
    {
      encoding: "utf8",
    },
  );
  return tried.status === 0 ? "" : (tried.error?.message ?? tried.stderr.trim());
}

/** A network namespace that lasts as long as its holder. */
export class Namespace {
  readonly #holder: ChildProcess;
  readonly #children: ChildProcess[] = [];

  private constructor(holder: ChildProcess) {
    this.#holder = holder;
  }

  static async create(): Promise<Namespace> {
    const holder = spawn("unshare", ["-n", "sh", "-c", "echo ready; exec sleep infinity"], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    await once(holder.stdout, "data");
    return new Namespace(holder);
  }

  get pid(): number {
    return this.#holder.pid ?? 0;
  }
  /** What to put before a command to run it in here. */
  get prefix(): readonly string[] {
    return ["nsenter", `--net=/proc/${this.pid}/ns/net`, "--"];
  }

  /** Runs to the end. @throws Error with what it said when it fails. */
  run(...argv: readonly string[]): string {
    const [command = "", ...rest] = [...this.prefix, ...argv];
    const { status, stdout, stderr, error } = spawnSync(command, rest, { encoding: "utf8" });
    if (status !== 0) throw new Error(`${argv.join(" ")}: ${error?.message ?? stderr}`);
    return stdout;
  }

  /** Starts a program that stays; resolves when it has printed something. */
  async start(...argv: readonly string[]): Promise<void> {
    const [command = "", ...rest] = [...this.prefix, ...argv];
    const child = spawn(command, rest, { stdio: ["ignore", "pipe", "inherit"] });
    this.#children.push(child);
    await Promise.race([
      once(child.stdout, "data"),
      once(child, "exit").then(() => Promise.reject(new Error(`${argv.join(" ")} ended`))),
    ]);
  }

  close(): void {
    for (const child of [...this.#children, this.#holder]) child.kill("SIGKILL");
  }
}
