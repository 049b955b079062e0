import { execFileSync, spawnSync } from "node:child_process";
import { dirname, join } from "node:path";
import { ensureService } from "@lateen/services";

/** Where addresses of services are taken from. */
export const SERVICE_ADDRESSES = "10.96.0.0/16";
const CHAIN = "LATEEN-SERVICES";
/** Chains that what is sent to a service comes through, from pods and from this machine itself. */
const HOOKS = [
  ["nat", "PREROUTING"],
  ["nat", "OUTPUT"],
  ["filter", "FORWARD"],
  ["filter", "OUTPUT"],
] as const;

/** A port of a service. */
export interface ServicePort {
  readonly address: string;
  readonly port: number;
  /** `ADDRESS:PORT` of each pod that is ready. */
  readonly endpoints: readonly string[];
}

/**
 * Addresses of services, as kube-proxy makes them work on a node (its iptables mode with `masqueradeAll`): a new connection goes to one of the endpoints
 * by chance, and is refused where there is none. The source becomes the node's, so that answers come back this way although pods are
 * neighbours on a bridge.
 */
export class ServiceNetwork {
  readonly #restore: string;

  /** @param source address of this machine on the network of the pods. @throws Error when iptables cannot be had or refuses. */
  constructor(source: string) {
    const iptables = ensureService("iptables", { install: false });
    if (iptables.path === undefined) throw new Error(`iptables: ${iptables.reason}`);
    this.#restore = join(dirname(iptables.path), "iptables-restore");
    this.#apply([
      ...["*nat", `:${CHAIN} - [0:0]`, `:${CHAIN}-SOURCE - [0:0]`],
      ...hooks("nat", "-I"),
      `-A ${CHAIN}-SOURCE -m conntrack --ctstate DNAT --ctorigdst ${SERVICE_ADDRESSES} -j MASQUERADE`,
      `-I POSTROUTING -j ${CHAIN}-SOURCE`,
      ...["COMMIT", "*filter", `:${CHAIN} - [0:0]`],
      ...hooks("filter", "-I"),
      // What has an endpoint has its address by now, and may pass whatever else the machine forwards.
      `-A ${CHAIN} -m conntrack --ctstate DNAT --ctorigdst ${SERVICE_ADDRESSES} -j ACCEPT`,
      `-A ${CHAIN} -d ${SERVICE_ADDRESSES} -p tcp -j REJECT --reject-with tcp-reset`,
      "COMMIT",
    ]);
    // A destination is looked for before it is changed; where the machine knows no way out there would be none.
    execFileSync("ip", ["route", "replace", SERVICE_ADDRESSES, "dev", deviceOf(source)]);
  }

  /** Replaces all services, at once. */
  set(services: readonly ServicePort[]): void {
    const rules = services.flatMap(({ address, port, endpoints }) =>
      endpoints.map((endpoint, at) => {
        const left = endpoints.length - at;
        const chance = left === 1 ? "" : ` -m statistic --mode random --probability ${(1 / left).toFixed(10)}`;
        return `-A ${CHAIN} -d ${address}/32 -p tcp -m tcp --dport ${port}${chance} -j DNAT --to-destination ${endpoint}`;
      }),
    );
    this.#apply(["*nat", `:${CHAIN} - [0:0]`, ...rules, "COMMIT"]);
  }

  /** Takes the rules away, for a machine that goes on. */
  close(): void {
    execFileSync("ip", ["route", "del", SERVICE_ADDRESSES]);
    this.#apply([
      ...["*nat", `:${CHAIN} - [0:0]`, `:${CHAIN}-SOURCE - [0:0]`],
      ...hooks("nat", "-D"),
      ...[`-D POSTROUTING -j ${CHAIN}-SOURCE`, `-X ${CHAIN}`, `-X ${CHAIN}-SOURCE`],
      ...["COMMIT", "*filter", `:${CHAIN} - [0:0]`],
      ...hooks("filter", "-D"),
      ...[`-X ${CHAIN}`, "COMMIT"],
    ]);
  }

  #apply(lines: readonly string[]): void {
    const { status, stderr, error } = spawnSync(this.#restore, ["--noflush", "--wait"], {
      input: lines.map((line) => `${line}\n`).join(""),
      encoding: "utf8",
    });
    if (status !== 0) throw new Error(`iptables-restore: ${error?.message ?? stderr}\n${lines.join("\n")}`);
  }
}

function hooks(table: "nat" | "filter", operation: "-I" | "-D"): readonly string[] {
  return HOOKS.filter(([each]) => each === table).map(([, chain]) => `${operation} ${chain} -j ${CHAIN}`);
}

/** The network device that has this address. */
function deviceOf(address: string): string {
  const [, device] = execFileSync("ip", ["-o", "addr", "show", "to", address], { encoding: "utf8" }).split(/\s+/);
  if (device === undefined) throw new Error(`no device has ${address}`);
  return device;
}
