import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ensureService } from "@lateen/services";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type BuiltImage, ImageBuilder } from "./build.ts";

const iptables = ensureService("iptables");
const isRoot = process.getuid?.() === 0;
const skipped =
  process.platform !== "linux" || !isRoot || (iptables.path === undefined && !(process.env.CI && iptables.installable));
const folder = mkdtempSync(join(tmpdir(), "lateen-image-"));
const root = join(folder, "root");
let image: BuiltImage;
afterAll(() => rmSync(folder, { recursive: true }));

/** In the image's file system and as this user. */
function inside(user: number, ...argv: string[]) {
  const args = [`--userspec=${user}:${user}`, root, ...argv];
  return spawnSync("chroot", args, { encoding: "utf8", env: { PATH: process.env.PATH ?? "" }, timeout: 120_000 });
}

describe.skipIf(skipped)("the sidecar's image (Linux, as root)", { timeout: 120_000 }, () => {
  beforeAll(() => {
    image = new ImageBuilder({ hub: "lateen", tag: "test", folder, level: 1 }).build("sidecar");
    // As an engine would: layer over layer.
    mkdirSync(root);
    for (const [index, { gzip }] of image.layers.entries()) {
      const file = join(folder, `${index}.tgz`);
      writeFileSync(file, gzip);
      execFileSync("tar", ["-xzf", file, "-C", root]);
    }
  }, 300_000);

  it("runs its entry point as user 1337 from nothing but its own files", () => {
    const { status, stdout, stderr } = inside(1337, "/usr/local/bin/node", "/lateen/main.js", "--print-config");
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout).toContain("admin-port = 15000  (default)");
  });

  it("answers to the name that injected pods use", () => {
    expect(inside(1337, "/usr/local/bin/pilot-agent", "--help").stdout).toContain("usage: ");
  });

  it("loads the native module, by which original destinations are found", () => {
    const script =
      'const { default: koffi } = await import("/lateen/node_modules/koffi/index.js"); console.log(koffi.load(null) !== null)';
    const { stdout, stderr } = inside(1337, "/usr/local/bin/node", "--input-type=module", "-e", script);
    expect({ stdout, stderr }).toEqual({ stdout: "true\n", stderr: "" });
  });

  it("has iptables for the init container", () => {
    expect(inside(0, "/usr/sbin/iptables", "--version").stdout).toMatch(/^iptables v\d.*nf_tables/);
    expect(inside(0, "/usr/sbin/ip6tables-restore", "--version").stdout).toMatch(/v\d.*nf_tables/);
    // Each is a file of its own, which iptables finds by a path it was built with.
    for (const [kind, name] of [
      ["-m", "owner"],
      ["-m", "multiport"],
      ["-m", "tcp"],
      ["-j", "REDIRECT"],
    ] as const)
      expect(inside(0, "/usr/sbin/iptables", kind, name, "--help").stdout).toContain(name);
  });

  it("has no shell, and nothing that another user could write to but /tmp", () => {
    const paths = image.layers.flatMap(({ entries }) => entries);
    expect(paths.filter(({ path }) => /(^|\/)(ba|da)?sh$/.test(path))).toEqual([]);
    expect(
      paths.filter(({ mode, link }) => link === undefined && (mode & 0o022) !== 0).map(({ path }) => path),
    ).toEqual(["tmp/"]);
  });

  it("says what it is made of", () => {
    const names = image.sbom.components.map(({ name }) => name.split(":")[0]);
    expect(names).toEqual(expect.arrayContaining(["node", "koffi", "pino"]));
    expect(image.sbom.components.every(({ version }) => version !== "")).toBe(true);
  });
});
