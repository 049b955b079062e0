/**
 * Runs a command in a network namespace of its own, where connections can be captured (iptables REDIRECT, as Istio's init container sets
 * it up) and every port is free; everything ends with the namespace. Without the means for that the command runs as it is, and the tests
 * that need capture say why they are skipped. Foreign programs are fetched before, because the namespace has no way out.
 */
import { spawn, spawnSync } from "node:child_process";
import { ensureService } from "@lateen/services";

const problems = [
  "envoy",
  "redis-server",
  "iptables",
  "python3-grpcio",
  "h2spec",
  "h2load",
  "python3-h2",
  "curl",
].flatMap((name) => {
  const found = ensureService(name);
  return found.path === undefined ? [{ name, reason: found.reason, installable: found.installable }] : [];
});
for (const { name, reason } of problems) process.stdout.write(`${name}: not available: ${reason}\n`);
if (process.env.CI === "true" && problems.some(({ installable }) => installable)) process.exit(1);

const SETUP = `
ip link set lo up &&
ip route add 10.96.0.0/12 dev lo src 127.0.0.1 && ip route add 240.240.0.0/16 dev lo src 127.0.0.1 &&
ip route add 203.0.113.0/24 dev lo src 127.0.0.1 &&
for range in 192.0.2.0/24 198.51.100.0/24 198.18.0.0/16 10.0.0.0/12; do ip route add local $range dev lo; done &&
iptables -t nat -A OUTPUT -s 127.0.0.6/32 -j RETURN &&
iptables -A OUTPUT -d 10.96.0.0/12 -p tcp -j REJECT --reject-with tcp-reset &&
iptables -A OUTPUT -d 203.0.113.0/24 -p tcp -j REJECT --reject-with tcp-reset`;

function canCapture(): string {
  const missing = problems.find(({ name }) => name === "iptables");
  if (missing !== undefined) return `iptables: ${missing.reason}`;
  const tried = spawnSync("unshare", ["-n", "sh", "-ec", SETUP], { encoding: "utf8" });
  return tried.status === 0 ? "" : (tried.error?.message ?? tried.stderr.trim());
}

const reason = canCapture();
const argv = process.argv.slice(2);
// A process namespace as well: whatever was started ends with the command.
// Names are asked of a server in the namespace, which a test may start (see `harness/dns.ts`).
const NAMES = `f=$(mktemp) && echo nameserver 127.0.0.1 >"$f" && mount --bind "$f" "$(readlink -f /etc/resolv.conf)"`;
const inside = [
  "-n",
  "-p",
  "-f",
  "--kill-child",
  "--mount-proc",
  "sh",
  "-ec",
  `${SETUP}; ${NAMES} || true; exec "$@"`,
  "sh",
  ...argv,
];
const [command = "", ...rest] = reason === "" ? ["unshare", ...inside] : argv;
const child = spawn(command, rest, { stdio: "inherit", env: { ...process.env, LATEEN_INTEROP_NO_CAPTURE: reason } });
for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => child.kill("SIGKILL"));
child.on("error", (error) => {
  process.stderr.write(`${command}: ${error.message}\n`);
  process.exitCode = 1;
});
child.on("exit", (code) => {
  process.exitCode = code ?? 1;
});
