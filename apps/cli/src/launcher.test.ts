import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "lateen-launcher-"));
  mkdirSync(join(folder, "bin"));
  cpSync(join(import.meta.dirname, "../bin/lateen.mjs"), join(folder, "bin/lateen.mjs"));
});
afterAll(() => rmSync(folder, { recursive: true }));

const launch = (...args: readonly string[]) =>
  spawnSync(process.execPath, [...args], { encoding: "utf8", env: { ...process.env, LATEEN_NODE_CHOSEN: "1" } });

it("says what to do before the bundle is built", () => {
  const { status, stderr } = launch(join(folder, "bin/lateen.mjs"), "status");
  expect(stderr).toContain("npm run build");
  expect(status).toBe(69);
});

it("hands its arguments to the bundle", () => {
  mkdirSync(join(folder, "dist"));
  writeFileSync(join(folder, "dist/main.js"), "process.stdout.write(process.argv.slice(2).join());process.exit(5)");
  writeFileSync(join(folder, "package.json"), '{"type":"module"}');
  expect(launch(join(folder, "bin/lateen.mjs"), "a", "b")).toMatchObject({ status: 5, stdout: "a,b" });
});

it("refuses a Node.js that is too old", () => {
  const old = `Object.defineProperty(process.versions,"node",{value:"20.1.0"});`;
  const { status, stderr } = launch("--import", `data:text/javascript,${old}`, join(folder, "bin/lateen.mjs"));
  expect(stderr).toContain("needs Node.js 22.22");
  expect(status).toBe(69);
});
