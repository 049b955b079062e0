import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { type Finished, runCommand } from "./mesh.ts";

const TRIAL =
  "ip link set lo up; ip link add br0 type bridge; iptables -t nat -A OUTPUT -p tcp -j REDIRECT --to-ports 1";

/** Why there can be no machine of one's own here; empty when there can. */
export function whyNoMachine(): string {
  const tried = spawnSync("unshare", ["--net", "sh", "-ec", TRIAL], { encoding: "utf8" });
  if (tried.status === 0) return "";
  return tried.error?.message ?? tried.stderr.trim().split("\n").at(-1) ?? "unshare failed";
}

/** A network namespace, which lasts as long as its holder. */
async function namespace(setup: string): Promise<ChildProcess> {
  const script = `ip link set lo up; ${setup} echo ready; exec sleep infinity`;
  const holder = spawn("unshare", ["--net", "sh", "-ec", script], { stdio: ["ignore", "pipe", "inherit"] });
  await firstWord(holder);
  return holder;
}
const into = ({ pid }: ChildProcess): readonly string[] => ["nsenter", `--net=/proc/${pid}/ns/net`, "--"];

/**
 * A network namespace that stands for a whole machine, and another one that stands for the network it is on: a mesh started in it
 * changes nothing of the real machine, and nothing it sends leaves it.
 */
export class Machine {
  /** An address on the machine's network. */
  readonly outside = "198.51.100.1";
  readonly #holder: ChildProcess;
  readonly #network: ChildProcess;

  private constructor(holder: ChildProcess, network: ChildProcess) {
    this.#holder = holder;
    this.#network = network;
  }

  static async create(): Promise<Machine> {
    const holder = await namespace("");
    const network = await namespace(
      `ip link add name cable type veth peer name eth0 netns ${holder.pid}; ip addr add 198.51.100.1/24 dev cable; ip link set cable up;`,
    );
    const machine = new Machine(holder, network);
    const setup = "ip addr add 198.51.100.2/24 dev eth0; ip link set eth0 up; ip route add default via 198.51.100.1";
    const { code, stderr } = await machine.run("sh", "-ec", setup);
    if (code !== 0) throw new Error(stderr);
    return machine;
  }

  /** Before a command that is to run on this machine, and before one on its network. */
  get prefix(): readonly string[] {
    return into(this.#holder);
  }
  get networkPrefix(): readonly string[] {
    return into(this.#network);
  }

  run(...argv: readonly string[]): Promise<Finished> {
    return runCommand([...this.prefix, ...argv], { timeoutMs: 120_000 });
  }

  /** Starts a program on the network outside that stays; resolves when it has printed something. */
  async startOutside(...argv: readonly string[]): Promise<ChildProcess> {
    const [command = "", ...rest] = [...this.networkPrefix, ...argv];
    const child = spawn(command, rest, { stdio: ["ignore", "pipe", "inherit"] });
    await firstWord(child);
    return child;
  }

  close(): void {
    this.#holder.kill("SIGKILL");
    this.#network.kill("SIGKILL");
  }
}

/** Resolves when a program has printed something; rejects when it ends before. */
async function firstWord(child: ChildProcess): Promise<void> {
  if (child.stdout === null) return;
  await Promise.race([
    once(child.stdout, "data"),
    once(child, "exit").then(([code]) => Promise.reject(new Error(`${child.spawnargs.join(" ")} ended with ${code}`))),
  ]);
}
