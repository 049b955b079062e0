import { spawnSync } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { hasIpv6 } from "./namespaces.ts";

/** Programs that namespaces are made with, and the Debian packages they come in. */
const PROGRAMS: Readonly<Record<string, string>> = {
  ip: "iproute2",
  "iptables-restore": "iptables",
  mount: "mount",
  nsenter: "util-linux",
  setpriv: "util-linux",
  sleep: "coreutils",
  unshare: "util-linux",
};

/** A namespace with a bridge, a cable and the kinds of rule that capture uses; gone when the command ends. */
const TRIAL = `
ip link set lo up; ip link add br0 type bridge; ip link add name end0 type veth peer name end1; ip link set end0 master br0
rules="*nat
-A OUTPUT -p tcp -m multiport ! --dports 53,15008 -m owner --gid-owner 1337 -j REDIRECT --to-ports 15001
COMMIT"
echo "$rules" | iptables-restore`;

/**
 * Why pods cannot be network namespaces on this machine, in words that say what to do; undefined when they can.
 * @param path the PATH to look for programs in.
 */
export function whyNoNamespaces(path: string): string | undefined {
  if (process.platform !== "linux") return `it needs Linux, and this is ${process.platform}`;
  if (process.getuid?.() !== 0) return "it needs root, to make network namespaces and redirect connections";
  const missing = Object.keys(PROGRAMS).filter((name) => !onPath(name, path));
  if (missing.length > 0) {
    const packages = [...new Set(missing.map((name) => PROGRAMS[name]))].join(", ");
    return `${missing.join(", ")} cannot be found (in Debian, packages ${packages})`;
  }
  const six = hasIpv6() ? '; echo "$rules" | ip6tables-restore' : "";
  const tried = spawnSync("unshare", ["--net", "--mount", "sh", "-ec", `${TRIAL}${six}`], {
    encoding: "utf8",
    env: { PATH: path },
  });
  if (tried.status === 0) return undefined;
  return `the kernel refuses it: ${tried.error?.message ?? tried.stderr.trim().split("\n").at(-1) ?? ""}`;
}

function onPath(name: string, path: string): boolean {
  return path.split(delimiter).some((directory) => {
    try {
      accessSync(join(directory, name), constants.X_OK);
      return directory !== "";
    } catch {
      return false;
    }
  });
}
