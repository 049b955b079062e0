#!/usr/bin/env node
// Starts the bundled command line. Plain old syntax: this file also has to speak to versions of Node.js that are too old for the bundle.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import * as nodeModule from "node:module";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const LEAST = [22, 22];
const folder = dirname(fileURLToPath(import.meta.url));

/** The Node.js that the package brings along, looked for upwards from here. */
function bundledNode() {
  for (let at = folder; ; at = dirname(at)) {
    const candidate = join(at, "node_modules", ".bin", "node");
    if (existsSync(candidate)) return candidate;
    if (dirname(at) === at) return undefined;
  }
}

function passOn(node) {
  const child = spawn(node, process.argv.slice(1), {
    stdio: "inherit",
    env: Object.assign({}, process.env, { LATEEN_NODE_CHOSEN: "1" }),
  });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  child.on("exit", (code, signal) => {
    if (signal === null) process.exit(code === null ? 1 : code);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}

async function start() {
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (major < LEAST[0] || (major === LEAST[0] && minor < LEAST[1])) {
    const better = process.env.LATEEN_NODE_CHOSEN ? undefined : bundledNode();
    if (better !== undefined) return passOn(better);
    process.stderr.write(`lateen needs Node.js ${LEAST.join(".")} or newer; this is ${process.version}.\n`);
    return process.exit(69);
  }
  const bundle = join(folder, "..", "dist", "main.js");
  if (!existsSync(bundle)) {
    process.stderr.write("lateen is not built yet: run `npm run build`.\n");
    return process.exit(69);
  }
  // Compiled code is kept for the next start, also for the processes of a mesh, which inherit the variable.
  if (process.env.NODE_COMPILE_CACHE === undefined && process.env.NODE_DISABLE_COMPILE_CACHE === undefined) {
    const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "lateen", "compiled");
    process.env.NODE_COMPILE_CACHE = cache;
    if (nodeModule.enableCompileCache) nodeModule.enableCompileCache(cache);
  }
  await import(pathToFileURL(bundle).href);
}

await start();
