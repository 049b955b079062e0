/**
 * Runs a command where containers can be started without touching the machine: in a network, mount and process namespace of its own, from which
 * there is no way out, and which ends with the command.
 *
 * `E2E_BACKEND=docker` starts Debian's Docker daemon in it, or uses one that is there already (`DOCKER_HOST`). `E2E_BACKEND=local` needs no daemon:
 * containers are processes in namespaces of their own. What was asked for and cannot be had is an error. Without the variable Docker is tried first,
 * and where its daemon refuses to run its log is shown and the other takes its place; where neither can be had the suite is skipped, and
 * says why.
 */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ensureService } from "@lateen/services";
import { startDaemon } from "./daemon.ts";

const INSIDE = "LATEEN_CONTAINERS_INSIDE";
const BACKENDS = ["docker", "local"];
const argv = process.argv.slice(2);
const wanted = process.env.E2E_BACKEND;
const folder = process.env[INSIDE];

/** What either backend does in the namespace, on a small scale. */
const TRIAL = `ip link set lo up
mount -t tmpfs tmpfs /mnt
mkdir /mnt/lower /mnt/upper /mnt/work /mnt/root
mount -t overlay overlay -o lowerdir=/mnt/lower,upperdir=/mnt/upper,workdir=/mnt/work /mnt/root
ip link add trial type bridge
ip link del trial`;

process.exitCode = folder === undefined ? await outside() : await inside(folder);

/** Fetches what the namespace has no way to, and makes the namespace. */
async function outside(): Promise<number> {
  if (wanted !== undefined && !BACKENDS.includes(wanted)) return fail(`E2E_BACKEND is ${BACKENDS.join(" or ")}`);
  const existing = process.env.DOCKER_HOST !== undefined && wanted !== "local";
  for (const name of ["nats-server", "redis-server", "iptables"]) {
    const lacking = lacks(name);
    if (lacking !== undefined) return lacking.mine ? fail(lacking.reason) : skip(lacking.reason);
  }
  if (existing) return run({ E2E_BACKEND: "docker" });
  for (const name of wanted === "local" ? [] : ["docker", "curl"]) {
    const lacking = lacks(name);
    if (lacking?.mine) return fail(lacking.reason);
    if (lacking !== undefined) process.stdout.write(`${lacking.reason}; containers are processes in namespaces\n`);
  }
  const namespaces = ["-n", "-m", "-p", "-f", "--kill-child", "--mount-proc"];
  const tried = spawnSync("unshare", [...namespaces, "sh", "-ec", TRIAL], { encoding: "utf8" });
  if (tried.status !== 0) {
    const reason = `no containers here: ${tried.error?.message ?? tried.stderr.trim()}`;
    return wanted === undefined ? skip(reason) : fail(reason);
  }
  const self = [process.execPath, ...process.execArgv, process.argv[1] ?? "", ...argv];
  const place = await mkdtemp(join(tmpdir(), "lateen-docker-"));
  try {
    return await run({ [INSIDE]: place }, ["unshare", ...namespaces, ...self]);
  } finally {
    // Here, where nothing of it is mounted any more, however the inner command ended.
    await rm(place, { recursive: true, force: true });
  }
}

/** @returns what is said of a program that is not there; `mine` where it ought to be. */
function lacks(name: string): { readonly reason: string; readonly mine: boolean } | undefined {
  const found = ensureService(name);
  if (found.path !== undefined) return undefined;
  const mine = wanted !== undefined || (process.env.CI === "true" && found.installable);
  return { reason: `${name}: ${found.reason}`, mine };
}

async function inside(place: string): Promise<number> {
  spawnSync("ip", ["link", "set", "lo", "up"]);
  if (wanted === "local") return run({ E2E_BACKEND: "local" });
  const daemon = await startDaemon(place);
  if (daemon !== undefined) {
    let code: number;
    try {
      code = await run({ E2E_BACKEND: "docker", DOCKER_HOST: daemon.host });
    } finally {
      await daemon.stop();
    }
    // The full counts are those of both backends.
    if (wanted === "docker" || process.env.LATEEN_TEST_FULL !== "1") return code;
    const again = argv.map((word) => word.replace(/results\.json$/, "results-local.json"));
    return Math.max(code, await run({ E2E_BACKEND: "local" }, again));
  }
  if (wanted === "docker") return fail("E2E_BACKEND=docker, and its daemon does not run");
  process.stdout.write("Docker's daemon does not run here: containers are processes in namespaces\n");
  return run({ E2E_BACKEND: "local" });
}

function fail(reason: string): number {
  process.stderr.write(`${reason}\n`);
  return 1;
}

/** The suite runs all the same, and says in its titles why nothing of it does. */
function skip(reason: string): Promise<number> {
  return run({ LATEEN_CONTAINERS_SKIP: reason });
}

async function run(env: Readonly<Record<string, string>>, command: readonly string[] = argv): Promise<number> {
  const [program = "", ...rest] = command;
  const child = spawn(program, rest, { stdio: "inherit", env: { ...process.env, ...env } });
  const end = () => child.kill("SIGTERM");
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, end);
  const [code] = (await once(child, "exit")) as [number | null];
  return code ?? 1;
}
