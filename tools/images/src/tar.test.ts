import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, readlinkSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { imageArchive, layerOf } from "./oci.ts";
import { tarOf } from "./tar.ts";

const folder = mkdtempSync(join(tmpdir(), "lateen-tar-"));
afterAll(() => rmSync(folder, { recursive: true }));

function unpack(name: string, archive: Buffer): string {
  const into = join(folder, name);
  writeFileSync(`${into}.tar`, archive);
  execFileSync("mkdir", ["-p", into]);
  execFileSync("tar", ["-xf", `${into}.tar`, "-C", into]);
  return into;
}

describe("tar", () => {
  it("is what tar reads", () => {
    const long = `${"deep/".repeat(30)}file.txt`;
    const into = unpack(
      "plain",
      tarOf([
        { path: "bin/", mode: 0o755 },
        { path: "bin/run", mode: 0o755, content: Buffer.from("x".repeat(513)) },
        { path: "bin/alias", mode: 0o777, link: "run" },
        { path: "empty", mode: 0o600, content: Buffer.alloc(0) },
        { path: long, mode: 0o644, content: Buffer.from("here") },
      ]),
    );
    expect(readFileSync(join(into, "bin/alias"), "utf8")).toHaveLength(513);
    expect(readlinkSync(join(into, "bin/alias"))).toBe("run");
    expect(statSync(join(into, "bin/run")).mode & 0o777).toBe(0o755);
    expect(statSync(join(into, "empty")).size).toBe(0);
    expect(readFileSync(join(into, long), "utf8")).toBe("here");
  });

  it("refuses a path that it cannot hold", () => {
    expect(() => tarOf([{ path: "x".repeat(101), mode: 0o644 }])).toThrow(RangeError);
  });
});

describe("an image's archive", () => {
  const run = {
    user: "1337:1337",
    entrypoint: ["/run"],
    env: [],
    workingDir: "/",
    exposedPorts: [80],
    labels: {},
  };
  const layer = () => layerOf([{ path: "run", mode: 0o755, content: Buffer.from("#!") }], "a test");

  it("is an OCI layout and what docker loads, with digests that are true", () => {
    const { archive, digest } = imageArchive("hub/app:1", "amd64", [layer()], run);
    const into = unpack("image", archive);
    const read = (path: string) => JSON.parse(readFileSync(join(into, path), "utf8"));
    const blob = (name: string) => join(into, "blobs/sha256", name.slice("sha256:".length));
    const sum = (path: string) => `sha256:${execFileSync("sha256sum", [path], { encoding: "utf8" }).split(" ")[0]}`;
    expect(read("oci-layout")).toEqual({ imageLayoutVersion: "1.0.0" });
    const [named] = read("index.json").manifests;
    expect(named.digest).toBe(digest);
    const manifest = JSON.parse(readFileSync(blob(digest), "utf8"));
    for (const { digest: each, size } of [named, manifest.config, ...manifest.layers]) {
      expect(sum(blob(each))).toBe(each);
      expect(statSync(blob(each)).size).toBe(size);
    }
    const config = JSON.parse(readFileSync(blob(manifest.config.digest), "utf8"));
    expect(config).toMatchObject({ os: "linux", config: { User: "1337:1337", Entrypoint: ["/run"] } });
    const unpacked = execFileSync("gzip", ["-dc", blob(manifest.layers[0].digest)]);
    writeFileSync(join(folder, "layer"), unpacked);
    expect(config.rootfs.diff_ids).toEqual([sum(join(folder, "layer"))]);
    const [docker] = read("manifest.json");
    expect(docker.RepoTags).toEqual(["hub/app:1"]);
    expect(docker.Layers).toEqual(
      manifest.layers.map(({ digest: each }: { digest: string }) => `blobs/sha256/${each.slice(7)}`),
    );
  });

  it("is the same each time", () => {
    expect(imageArchive("a:1", "amd64", [layer()], run).archive).toEqual(
      imageArchive("a:1", "amd64", [layer()], run).archive,
    );
  });
});
