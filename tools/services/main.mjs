#!/usr/bin/env node
/** `node tools/services/main.mjs [--look] [NAME…]`: makes sure that the named (default: all) programs are there and prints where.
 * What takes minutes to compile is only compiled when it is named. */
import { parseArgs } from "node:util";
import { ensureService } from "./services.mjs";
import { SERVICES } from "./table.mjs";

const { values, positionals } = parseArgs({
  options: { look: { type: "boolean", default: false } },
  allowPositionals: true,
});
let failed = false;
for (const name of positionals.length > 0 ? positionals : Object.keys(SERVICES)) {
  const found = ensureService(name, { install: !values.look, build: positionals.includes(name) });
  if (found.path !== undefined) {
    console.log(`${name.padEnd(14)} ${found.version.padEnd(10)} ${found.path}`);
    continue;
  }
  console.log(`${name.padEnd(14)} skipped    ${found.reason}`);
  if (process.env.CI === "true" && found.installable) failed = true;
}
process.exitCode = failed ? 1 : 0;
