import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, readlinkSync, statSync } from "node:fs";
import { basename, dirname } from "node:path";
import { eventually } from "@lateen/test-support";
import type { Container, ContainerSpec, Finished } from "./engine.ts";

const PATIENCE_MS = 60_000;
const DEVICES = ["null", "zero", "full", "random", "urandom"];
/** Besides those that were asked for: what it takes to change root and user, which is done before the program starts. */
const OWN_CAPABILITIES = ["sys_chroot", "setuid", "setgid"];
/** What the first process is before it is the container's program. */
const BEFORE = ["sh", "dash", "bash", "busybox", "mount", "mkdir", "setpriv", "unshare"];
/** As a shell says it of a process that a signal has ended. */
const KILLED = 137;

/** Where the root of a container is put together. */
export interface RootPlaces {
  readonly root: string;
  readonly upper: string;
  readonly work: string;
  /** Lowest first. */
  readonly layers: readonly string[];
}

/** What runs, and where. */
export interface Program {
  /** File of the network it joins. */
  readonly namespace: string;
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly workingDir: string;
}

/** A program in a mount, process, IPC and host name namespace of its own, with the root and rights that its specification names. */
export class LocalContainer implements Container {
  readonly name: string;
  readonly ended: Promise<number>;
  readonly #spec: ContainerSpec;
  readonly #root: string;
  readonly #program: Program;
  readonly #child: ChildProcess;
  #log = "";
  #first = 0;
  #killed = false;

  constructor(spec: ContainerSpec, places: RootPlaces, program: Program) {
    this.name = spec.name;
    this.#spec = spec;
    this.#root = places.root;
    this.#program = program;
    this.#child = spawn(
      "nsenter",
      [
        `--net=${program.namespace}`,
        ...["unshare", "--mount", "--propagation", "private", "--pid", "--ipc", "--uts", "--fork", "--kill-child"],
        ...["sh", "-ec", mountScript(spec, places), "sh"],
        ...this.#restricted(),
        ...program.argv,
      ],
      { env: program.env, stdio: ["ignore", "pipe", "pipe"] },
    );
    for (const stream of [this.#child.stdout, this.#child.stderr])
      stream?.setEncoding("utf8").on("data", (text: string) => {
        this.#log += text;
      });
    this.ended = once(this.#child, "close").then(([code]) =>
      this.#killed ? KILLED : ((code as number | null) ?? KILLED),
    );
    this.ended.catch(() => undefined);
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Resolves when its first process has the root, user and program that it is to have, or has ended. */
  async started(): Promise<void> {
    this.#first = await eventually(
      `${this.name} has started`,
      async () => {
        if (!this.running) return -1;
        const { pid } = this.#child;
        const found = Number(readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ")[0]);
        const status = readFileSync(`/proc/${found}/status`, "utf8");
        const changed = new RegExp(`^Uid:\\s${this.#spec.user}\\s`, "m").test(status);
        return changed && !BEFORE.includes(basename(readlinkSync(`/proc/${found}/exe`))) ? found : undefined;
      },
      PATIENCE_MS,
      5,
    );
  }

  async exec(argv: readonly string[]): Promise<Finished> {
    if (!this.running) throw new Error(`${this.name} has ended`);
    const namespaces = ["-t", String(this.#first), "-m", "-n", "-p", "-i", "-u"];
    const child = spawn("nsenter", [...namespaces, ...this.#restricted(), ...argv], {
      env: this.#program.env,
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (text: string) => {
        output += text;
      });
    const [code] = (await once(child, "close")) as [number | null];
    return { code: code ?? KILLED, output };
  }

  async stop(graceSeconds: number): Promise<number> {
    this.#signal("SIGTERM");
    const late = setTimeout(() => this.#signal("SIGKILL"), graceSeconds * 1000);
    return this.ended.finally(() => clearTimeout(late));
  }

  async kill(): Promise<void> {
    this.#signal("SIGKILL");
    await this.ended;
  }

  async log(): Promise<string> {
    return this.#log;
  }

  /** To its first process: with that all others end. */
  #signal(signal: "SIGTERM" | "SIGKILL"): void {
    if (!this.running) return;
    // The process around it does not always say so.
    this.#killed ||= signal === "SIGKILL";
    // One that is still being started goes with the process that starts it.
    if (this.#first <= 0) return void this.#child.kill("SIGKILL");
    try {
      process.kill(this.#first, signal);
    } catch (error) {
      // It has just ended by itself.
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
    }
  }

  /** In the container's root, with its user and no more rights than it is to have. */
  #restricted(): readonly string[] {
    const { capabilities, user, group } = this.#spec;
    const kept = [...capabilities, ...OWN_CAPABILITIES].map((name) => `,+${name.toLowerCase()}`).join("");
    return [
      ...["setpriv", "--no-new-privs", "--bounding-set", `-all${kept}`, "--inh-caps", "-all"],
      ...[
        "unshare",
        `--root=${this.#root}`,
        `--wd=${this.#program.workingDir}`,
        `--setgid=${group}`,
        `--setuid=${user}`,
      ],
    ];
  }
}

/** What is done in the new mount namespace before the program starts. */
function mountScript({ mounts, readOnly }: ContainerSpec, { root, upper, work, layers }: RootPlaces): string {
  const lower = [...layers].reverse().join(":");
  const lines = [
    `mount -t overlay overlay -o lowerdir=${lower},upperdir=${upper},workdir=${work} ${root}`,
    `mkdir -p ${root}/dev ${root}/etc ${root}/proc ${root}/tmp`,
    `mount -t proc proc ${root}/proc`,
  ];
  const bind = (from: string, to: string, fixed: boolean) => {
    const target = `${root}${to}`;
    lines.push(
      statSync(from).isDirectory() ? `mkdir -p ${target}` : `mkdir -p ${dirname(target)} && : >> ${target}`,
      `mount --bind ${from} ${target}`,
    );
    if (fixed) lines.push(`mount -o remount,ro,bind ${target}`);
  };
  for (const device of DEVICES) bind(`/dev/${device}`, `/dev/${device}`, false);
  for (const { from, to, readOnly: fixed } of mounts) bind(from, to, fixed);
  lines.push(`mount --bind ${root}/proc/sys ${root}/proc/sys`, `mount -o remount,ro,bind ${root}/proc/sys`);
  if (readOnly) lines.push(`mount -o remount,ro,bind ${root}`);
  return `${lines.join("\n")}\nexec "$@"`;
}

/** `NAME=value` of an image's configuration. */
export function variables(list: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(list.map((each) => [each.slice(0, each.indexOf("=")), each.slice(each.indexOf("=") + 1)]));
}
