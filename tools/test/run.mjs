// `npm test`: format, lint, layer rules, types, build, then every project's tests; ends with one line `N passed, N failed[, N skipped]`.
// `--quick` leaves out e2e; `--full` sets LATEEN_TEST_FULL=1 for the full counts. Each step is timed.
import { spawnSync } from "node:child_process";
import { existsSync, globSync, readFileSync, rmSync } from "node:fs";
import { delimiter, relative, resolve } from "node:path";

const quick = process.argv.includes("--quick");
const env = { ...process.env, PATH: `${resolve("node_modules/.bin")}${delimiter}${process.env.PATH}` };
// nx gives its tasks a pseudo terminal whatever ours is; colour codes in a log file help nobody.
if (!process.stdout.isTTY) Object.assign(env, { NO_COLOR: "1", FORCE_COLOR: "0" });
if (process.argv.includes("--full")) env.LATEEN_TEST_FULL = "1";

const steps = [
  ["protobuf code", "nx", ["run", "proto:generate"]],
  ["format and lint", "biome", ["ci", "--error-on-warnings", ...(process.stdout.isTTY ? [] : ["--colors=off"]), "."]],
  ["layer rules", "node", ["tools/lint-rules/boundaries.mjs"]],
  ["project references", "node", ["tools/workspace/sync-references.mjs", "--check"]],
  ["types", "tsc", ["-b"]],
  ["build", "nx", ["run-many", "-t", "build"]],
  ["tests", "nx", ["run-many", "-t", "test", "--parallel=2", "--exclude=e2e-*,@lateen/e2e-*", "--output-style=static"]],
];
if (!quick)
  steps.push([
    "end to end",
    "nx",
    ["run-many", "-t", "test", "--parallel=1", "--projects=@lateen/e2e-*", "--output-style=stream"],
  ]);

for (const file of globSync("{libs,apps,tools,e2e,samples}/*/test-output/results.json")) rmSync(file);
let broken = 0;
for (const [title, command, args] of steps) {
  const start = process.hrtime.bigint();
  console.log(`\n── ${title}: ${command} ${args.join(" ")}`);
  const { status } = spawnSync(command, args, { stdio: "inherit", env });
  const seconds = Number(process.hrtime.bigint() - start) / 1e9;
  console.log(`── ${title}: ${status === 0 ? "ok" : "FAILED"} in ${seconds.toFixed(1)} s`);
  if (status !== 0) broken++;
  // Without generated code or types nothing later says anything useful.
  if (status !== 0 && (title === "protobuf code" || title === "build")) break;
}

let passed = 0;
let failed = 0;
const skips = [];
/** What failed and why, told once more at the end: the output before it is long, and may be cut. */
const failures = [];
for (const file of globSync("{libs,apps,tools,e2e,samples}/*/test-output/results.json").sort()) {
  const report = JSON.parse(readFileSync(file, "utf8"));
  passed += report.numPassedTests;
  failed += report.numFailedTests;
  for (const suite of report.testResults) {
    const place = relative(".", suite.name);
    if (suite.status === "failed" && suite.assertionResults.length === 0) failed++;
    if (suite.status === "failed" && suite.message !== "") failures.push(`${place}: ${suite.message}`);
    for (const test of suite.assertionResults) {
      if (test.status === "failed") failures.push(`${place}: ${test.fullName}\n${test.failureMessages.join("\n")}`);
      if (test.status === "pending" || test.status === "skipped" || test.status === "todo") skips.push(test.fullName);
    }
  }
}
const silent = globSync("{libs,apps,tools,e2e}/*/package.json")
  .map((file) => file.slice(0, -"/package.json".length))
  .filter((dir) => globSync(`${dir}/src/**/*.test.ts`).length > 0 && !(quick && dir.startsWith("e2e/")))
  .filter((dir) => !existsSync(`${dir}/test-output/results.json`));
for (const dir of silent) console.error(`${dir}: has tests but left no results`);
for (const name of skips) console.log(`skipped: ${name}`);
for (const text of failures) console.log(`\nfailed: ${text.split("\n").slice(0, 12).join("\n  ")}`);
console.log(
  `\n${passed} passed, ${failed + broken + silent.length} failed${skips.length > 0 ? `, ${skips.length} skipped` : ""}`,
);
process.exitCode = failed > 0 || broken > 0 || silent.length > 0 || passed === 0 ? 1 : 0;
