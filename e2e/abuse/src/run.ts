/**
 * Runs a command in a network namespace of its own, where packets can be dropped without harm to anybody else. Without the means for that
 * the command runs as it is, and the tests that drop packets say why they are skipped. Foreign programs are fetched before, because the
 * namespace has no way out.
 */
import { spawn, spawnSync } from "node:child_process";
import { ensureService } from "@lateen/services";
import { FOREIGN } from "./harness/programs.ts";

for (const name of [...FOREIGN, "iptables"]) {
  const found = ensureService(name);
  if (found.path !== undefined) continue;
  process.stdout.write(`${name}: not available: ${found.reason}\n`);
  if (process.env.CI === "true" && found.installable) process.exit(1);
}

const SETUP = "ip link set lo up";
const tried = spawnSync("unshare", ["-n", "sh", "-ec", `${SETUP}; iptables -A INPUT -p tcp --dport 1 -j DROP`], {
  encoding: "utf8",
});
const reason = tried.status === 0 ? "" : (tried.error?.message ?? tried.stderr.trim());
const argv = process.argv.slice(2);
const inside = ["unshare", "-n", "sh", "-ec", `${SETUP}; exec "$@"`, "sh", ...argv];
const [command = "", ...rest] = reason === "" ? inside : argv;
const child = spawn(command, rest, { stdio: "inherit", env: { ...process.env, LATEEN_ABUSE_NO_DROP: reason } });
for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => child.kill(signal));
child.on("error", (error) => {
  process.stderr.write(`${command}: ${error.message}\n`);
  process.exitCode = 1;
});
child.on("exit", (code) => {
  process.exitCode = code ?? 1;
});
