import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { applyCapture, type CaptureOptions } from "@lateen/capture";
import { namespaceFailed } from "../errors.ts";
import type { ProcessLedger } from "../process/ledger.ts";
import { BLOCK_BITS } from "./addresses.ts";

/** Name of the bridge that ties the pods of a mesh, in a namespace of its own where no firewall of the machine reaches. */
const BRIDGE = "br0";
/** Group of the proxies, whose connections are not captured. */
const PROXY_GROUP = "1337";
/** What no application needs to run and what would let it out of its namespace or at its proxy. */
const DROPPED_CAPABILITIES = "-net_admin,-net_raw,-sys_admin,-sys_module,-sys_ptrace";

/** How to run things in one pod. */
export interface PodNamespace {
  /** Before a proxy's command. */
  readonly proxyPrefix: readonly string[];
  /** Before an application's command: with the mesh's name servers, without the right to change the network. */
  readonly appPrefix: readonly string[];
  close(): void;
}

export interface NamespacesOptions {
  /** Number of the mesh's address block; names the interface on the machine. */
  readonly index: number;
  /** The machine's own address in the block, which is also the pods' way out. */
  readonly gateway: string;
  readonly ledger: ProcessLedger;
  /** `setpriv`, found on the PATH. */
  readonly setpriv: string;
}

/**
 * The network of a mesh whose pods are network namespaces: a bridge in a namespace of its own, a cable from it to every pod and one to the
 * machine. A namespace lives as long as its holder, a process that the kernel ends with us; with the last namespace everything goes, so
 * that nothing is left whatever happens to us.
 */
export class Namespaces {
  readonly #options: NamespacesOptions;
  readonly #hub: Holder;
  #cables = 0;

  private constructor(options: NamespacesOptions, hub: Holder) {
    this.#options = options;
    this.#hub = hub;
  }

  /** @throws LTN7017 with what the failing command said. */
  static async create(options: NamespacesOptions): Promise<Namespaces> {
    const { gateway } = options;
    const device = deviceOf(options.index);
    // The kernel takes an earlier mesh's cable away some time after its namespaces have gone.
    await run(["ip", "link", "del", device], []).catch(() => undefined);
    const hub = await Holder.start(options, "network of the mesh");
    try {
      await hub.configure([
        "link set lo up",
        `link add ${BRIDGE} type bridge`,
        `link set ${BRIDGE} up`,
        `link add ${device} type veth peer name host`,
        `link set host master ${BRIDGE}`,
        "link set host up",
        `link set ${device} netns ${process.pid}`,
      ]);
      await run(["ip", "-batch", "-"], [`addr add ${gateway}/${BLOCK_BITS} dev ${device}`, `link set ${device} up`]);
      await openWayOut(device, gateway);
      return new Namespaces(options, hub);
    } catch (error) {
      hub.close();
      throw error;
    }
  }

  /** Gives the machine a further address in the mesh's network, for a gateway that runs on it. */
  async addHostAddress(address: string): Promise<void> {
    await run(["ip", "addr", "add", `${address}/32`, "dev", deviceOf(this.#options.index)], []);
  }

  async removeHostAddress(address: string): Promise<void> {
    await run(["ip", "addr", "del", `${address}/32`, "dev", deviceOf(this.#options.index)], []).catch(() => undefined);
  }

  /**
   * Makes a pod's namespace, with its cable and its capture rules.
   * @param resolvConf file that its applications see as /etc/resolv.conf.
   * @throws LTN7017, LTN6602 with what the failing command said.
   */
  async createPod(name: string, address: string, capture: CaptureOptions, resolvConf: string): Promise<PodNamespace> {
    const { gateway, setpriv } = this.#options;
    const holder = await Holder.start(this.#options, `namespace of ${name}`);
    try {
      const cable = `pod${++this.#cables}`;
      await this.#hub.configure([
        `link add ${cable} type veth peer name eth0 netns ${holder.pid}`,
        `link set ${cable} master ${BRIDGE}`,
        `link set ${cable} up`,
      ]);
      await holder.configure([
        "link set lo up",
        `addr add ${address}/${BLOCK_BITS} dev eth0`,
        "link set eth0 up",
        `route add default via ${gateway}`,
        ...(hasIpv6() ? ["addr add ::6/128 dev lo"] : []),
      ]);
      await applyCapture(capture, { prefix: holder.prefix, families: hasIpv6() ? [4, 6] : [4], fresh: true });
    } catch (error) {
      holder.close();
      throw error;
    }
    const mount = 'if [ -e /etc/resolv.conf ]; then mount --bind "$0" /etc/resolv.conf; fi; exec "$@"';
    const inside = ["unshare", "--mount", "--propagation", "private", "--", "sh", "-ec", mount];
    const kept = "-all,+dac_override,+dac_read_search";
    return {
      proxyPrefix: [
        ...holder.prefix,
        ...[...inside, resolvConf],
        ...[setpriv, "--regid", PROXY_GROUP, "--clear-groups", "--bounding-set", kept, "--inh-caps", "-all", "--"],
      ],
      appPrefix: [
        ...holder.prefix,
        ...[...inside, resolvConf],
        ...[setpriv, "--bounding-set", DROPPED_CAPABILITIES, "--inh-caps", DROPPED_CAPABILITIES, "--"],
      ],
      close: () => holder.close(),
    };
  }

  async close(): Promise<void> {
    const { index, gateway } = this.#options;
    this.#hub.close();
    await closeWayOut(deviceOf(index), gateway);
  }
}

/**
 * What the proxies send to hosts outside leaves with the machine's address. Only where there is an outside; on a machine that is not on
 * any network nothing is changed. Rules of a mesh that was killed name an interface that is gone, and are replaced here.
 */
async function openWayOut(device: string, gateway: string): Promise<void> {
  if ((await output(["ip", "route", "show", "default"])).trim() === "") return;
  await closeWayOut(device, gateway);
  await writeFile("/proc/sys/net/ipv4/ip_forward", "1");
  for (const rule of wayOut(device, gateway)) await run(["iptables", "-w", "-t", rule.table, "-I", ...rule.words], []);
}

async function closeWayOut(device: string, gateway: string): Promise<void> {
  for (const rule of wayOut(device, gateway)) {
    await run(["iptables", "-w", "-t", rule.table, "-D", ...rule.words], []).catch(() => undefined);
  }
}

function wayOut(device: string, gateway: string) {
  const answers = ["-o", device, "-m", "conntrack", "--ctstate", "ESTABLISHED,RELATED", "-j", "ACCEPT"];
  return [
    { table: "nat", words: ["POSTROUTING", "-s", `${gateway}/${BLOCK_BITS}`, "!", "-o", device, "-j", "MASQUERADE"] },
    { table: "filter", words: ["FORWARD", "-i", device, "-j", "ACCEPT"] },
    { table: "filter", words: ["FORWARD", ...answers] },
  ];
}

/** Name of the machine's end of the cable to a mesh. */
function deviceOf(index: number): string {
  return `lateen${index}`;
}

/** Whether the kernel has IPv6. */
export function hasIpv6(): boolean {
  return existsSync("/proc/net/if_inet6");
}

/** The process that keeps a namespace. */
class Holder {
  readonly #child: ChildProcess;
  readonly #ledger: ProcessLedger;

  private constructor(child: ChildProcess, ledger: ProcessLedger) {
    this.#child = child;
    this.#ledger = ledger;
  }

  static async start({ ledger, setpriv }: NamespacesOptions, name: string): Promise<Holder> {
    const words = [
      "--pdeathsig",
      "KILL",
      "--",
      "unshare",
      "--net",
      "--",
      "sh",
      "-c",
      "echo ready; exec sleep infinity",
    ];
    const child = spawn(setpriv, words, {
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
      env: { PATH: process.env.PATH ?? "" },
    });
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    let said = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      said += text;
    });
    child.stdout.once("data", () => resolve());
    child.once("error", (error) => reject(namespaceFailed("unshare --net", error.message)));
    child.once("exit", () => reject(namespaceFailed("unshare --net", said.trim())));
    await promise;
    child.removeAllListeners("exit");
    if (child.pid !== undefined) {
      const { pid } = child;
      ledger.add(pid, name);
      child.once("exit", () => ledger.remove(pid));
    }
    return new Holder(child, ledger);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }
  get prefix(): readonly string[] {
    return ["nsenter", `--net=/proc/${this.pid}/ns/net`, "--"];
  }

  /** Commands of `ip`, one a line. */
  configure(lines: readonly string[]): Promise<void> {
    return run([...this.prefix, "ip", "-batch", "-"], lines);
  }

  close(): void {
    this.#child.kill("SIGKILL");
    this.#ledger.remove(this.pid);
  }
}

/** Runs a command to its end. @throws LTN7017 with what it said. */
async function run(argv: readonly string[], input: readonly string[]): Promise<void> {
  await output(argv, input);
}

/** As {@link run}; resolves with what the command printed. */
function output(argv: readonly string[], input: readonly string[] = []): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const [command = "", ...rest] = argv;
  const child = spawn(command, rest, { stdio: ["pipe", "pipe", "pipe"] });
  let printed = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    printed += text;
  });
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    said += text;
  });
  child.once("error", (error) => reject(namespaceFailed(argv.join(" "), error.message)));
  child.once("close", (code) => (code === 0 ? resolve(printed) : reject(namespaceFailed(argv.join(" "), said.trim()))));
  child.stdin.on("error", () => {});
  child.stdin.end(input.map((line) => `${line}\n`).join(""));
  return promise;
}
