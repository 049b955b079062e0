import { spawnSync } from "node:child_process";

/** Ports of the proxy itself, which are never captured. */
const PROXY_PORTS = "15000,15001,15006,15020,15021,15090,16002,16006";

/** Group of applications whose connections are captured whatever their address. */
export const CAPTURED_GROUP = 1338;

/**
 * What Istio's init container sets up in a pod: connections from the pod's address go to 15001, those to it to 15006. With `group` so do
 * connections of programs of {@link CAPTURED_GROUP}, which cannot choose their address.
 * @throws Error with iptables' own message.
 */
export function capture(address: string, { group = false } = {}): void {
  redirect(["-p", "tcp", "-d", address, "-m", "multiport", "!", "--dports", PROXY_PORTS], 15_006);
  redirect(["-p", "tcp", "-s", address, "!", "-d", address], 15_001);
  if (group) redirect(["-p", "tcp", "-m", "owner", "--gid-owner", String(CAPTURED_GROUP)], 15_001);
}

function redirect(match: readonly string[], port: number): void {
  rule("-A", [...match, "-j", "REDIRECT", "--to-ports", String(port)]);
}

/**
 * As {@link capture} for one of many pods of a network namespace: each proxy has the ports of capture at its pod's address only.
 * @throws Error with iptables' own message.
 */
export function captureAt(address: string, { outbound = 15_001, inbound = 15_006 } = {}): void {
  const to = (port: number) => ["-j", "DNAT", "--to-destination", `${address}:${port}`];
  const others = ["-m", "multiport", "!", "--dports", PROXY_PORTS];
  rule("-A", ["-p", "tcp", "-d", address, ...others, ...to(inbound)]);
  // Before all that are by destination, or calls to another pod would not go through this one's proxy.
  rule("-I", ["-p", "tcp", "-s", address, "!", "-d", address, ...others, ...to(outbound)]);
}

function rule(how: "-A" | "-I", match: readonly string[]): void {
  if (spawnSync("iptables", ["-t", "nat", "-C", "OUTPUT", ...match]).status === 0) return;
  const added = spawnSync("iptables", ["-t", "nat", how, "OUTPUT", ...match], { encoding: "utf8" });
  if (added.status !== 0) throw new Error(`iptables ${match.join(" ")}: ${added.error?.message ?? added.stderr}`);
}
