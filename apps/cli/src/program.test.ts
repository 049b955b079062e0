import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { processCli } from "./cli.ts";
import { createProgram } from "./program.ts";
import { TestMachine } from "./testing/cli.ts";
import { VERSION } from "./version.ts";

let machine: TestMachine;
beforeAll(() => {
  machine = new TestMachine();
});
afterAll(() => machine.close());

const commands = createProgram(processCli()).commands.map((command) => command.name());

it("is of the package's version", () => {
  const manifest = JSON.parse(readFileSync(join(import.meta.dirname, "../package.json"), "utf8")) as {
    version: string;
  };
  expect(VERSION).toBe(manifest.version);
});

it("has the commands that are promised", () => {
  expect(commands).toEqual(
    expect.arrayContaining([
      ...["up", "down", "status", "serve", "run", "apply", "delete", "get", "validate", "xds"],
      ...["proxy-status", "proxy-config", "completion", "version"],
    ]),
  );
});

it.each(commands)("%s --help shows an example and exits 0", async (name) => {
  const { code, out } = await machine.run([name, "--help"]);
  expect(code).toBe(0);
  expect(out).toMatch(new RegExp(`Examples:\\n.*lateen ${name}`, "s"));
});

describe("a command line that makes no sense exits 64", () => {
  it.each([
    [["statis"], "Did you mean status?"],
    [["status", "--outptu", "json"], "Did you mean --output?"],
    [["status", "-o", "xml"], "Allowed choices are json, yaml"],
    [["status", "--mesh", "../x"], "a mesh name has"],
    [["up"], "name files or directories with -f"],
    [["up", "-f", ".", "--ingress-port", "99999"], "a port is a number"],
    [["run", "--port", "80", "--", "true"], "--service"],
    [["serve", "pilto"], "did you mean pilot?"],
    [["get", "virtualservise"], "did you mean virtualservice?"],
    [["delete", "vs"], "which vs?"],
    [["validate"], "name files or directories with -f"],
    [["proxy-config", "routs", "web"], "Allowed choices are"],
    [["completion", "tcsh"], "Allowed choices are bash, zsh, fish"],
  ])("%j: %s", async (argv, said) => {
    const { code, out, err } = await machine.run(argv);
    expect(err).toContain(said);
    expect({ code, out }).toEqual({ code: 64, out: "" });
  });
});

it.each([
  ["status"],
  ["get", "vs"],
  ["proxy-status"],
  ["logs", "web"],
  ["run", "--service", "a", "--port", "1", "--", "true"],
])("%s says with 69 that no mesh runs", async (...argv) => {
  const { code, err } = await machine.run(argv);
  expect(err).toContain('mesh "default" is not running (LTN7006)');
  expect(code).toBe(69);
});

it("down without a mesh has nothing to do", async () => {
  expect(await machine.run(["down"])).toEqual({ code: 0, out: "", err: 'mesh "default" is not running\n' });
});

it("up refuses files that are not there with 65, and netns with 69", async () => {
  expect(await machine.run(["up", "-f", "nowhere"])).toMatchObject({
    code: 65,
    err: expect.stringContaining("nowhere"),
  });
  expect(await machine.run(["up", "-f", ".", "--capture", "netns"])).toMatchObject({ code: 69 });
});

it("tells its version to programs", async () => {
  const { out } = await machine.run(["version", "-o", "json"]);
  expect(JSON.parse(out)).toEqual({ client: { version: VERSION, node: process.version }, mesh: null });
});

it.each(["bash", "zsh", "fish"])("completes every command in %s", async (shell) => {
  const { out } = await machine.run(["completion", shell]);
  for (const name of commands) expect(out).toContain(name);
  expect(out).toContain("ingress-port");
});
