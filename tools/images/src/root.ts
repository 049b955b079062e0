import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, realpathSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { APP_IMAGES, MESH_UID } from "./apps.ts";
import { PILOT_AGENT } from "./dockerfile.ts";
import type { TarEntry } from "./tar.ts";

const ROOT = resolve(import.meta.dirname, "../../..");
const MODE_FILE = 0o644;
const MODE_PROGRAM = 0o755;

/** A root file system in the making; a path is added once. */
class RootFs {
  readonly #entries = new Map<string, TarEntry>();
  /** Files of this machine that went in, for the bill of materials. */
  readonly fromHost: string[] = [];

  text(path: string, content: string, mode = MODE_FILE): void {
    this.#add({ path, mode, content: Buffer.from(content) });
  }

  /** A file of this machine. */
  file(from: string, path: string, mode = MODE_FILE): void {
    this.#add({ path, mode, content: readFileSync(from) });
    this.fromHost.push(from);
  }

  link(path: string, target: string): void {
    this.#add({ path, mode: 0o777, link: target });
  }

  folder(path: string, mode = MODE_PROGRAM): void {
    this.#parents(path);
    if (!this.#entries.has(`${path}/`)) this.#entries.set(`${path}/`, { path: `${path}/`, mode });
  }

  /** A folder of this machine; `keep` says which files. */
  tree(from: string, path: string, keep: (name: string) => boolean = () => true): void {
    for (const entry of readdirSync(from, { withFileTypes: true })) {
      const [source, target] = [join(from, entry.name), `${path}/${entry.name}`];
      if (entry.isDirectory()) this.tree(source, target, keep);
      else if (keep(entry.name)) this.file(source, target);
    }
  }

  /** A program or library, and every library it loads, each at its own path. */
  program(from: string, path: string): void {
    this.file(from, path, MODE_PROGRAM);
    for (const library of librariesOf(from)) {
      if (!this.#entries.has(library.slice(1))) this.file(library, library.slice(1), MODE_PROGRAM);
    }
  }

  entries(): readonly TarEntry[] {
    return [...this.#entries.values()];
  }

  #add(entry: TarEntry): void {
    this.#parents(entry.path);
    this.#entries.set(entry.path, entry);
  }

  #parents(path: string): void {
    const slash = path.lastIndexOf("/");
    if (slash > 0) this.folder(path.slice(0, slash));
  }
}

export interface RootPart {
  readonly entries: readonly TarEntry[];
  readonly fromHost: readonly string[];
}

/** The node binary of the workspace: its version is pinned, whatever runs this script. */
export function nodeBinary(): string {
  const pinned = join(ROOT, `node_modules/node-linux-${process.arch}/bin/node`);
  return existsSync(pinned) ? pinned : realpathSync(process.execPath);
}

/** What all images share: node with its libraries, users, name resolution. No shell, no package manager. */
export function baseLayer(): RootPart {
  const root = skeleton();
  root.program(nodeBinary(), "usr/local/bin/node");
  return { entries: root.entries(), fromHost: root.fromHost };
}

/** A program of this machine with its libraries, without node: the only layer of an image, for tests. @param path where it is in there. */
export function programLayer(program: string, path: string): RootPart {
  const root = skeleton();
  root.program(realpathSync(program), path);
  return { entries: root.entries(), fromHost: root.fromHost };
}

/** Text files by their paths, for a layer over {@link baseLayer}. */
export function textLayer(files: Readonly<Record<string, string>>): RootPart {
  const root = new RootFs();
  for (const [path, content] of Object.entries(files)) root.text(path, content);
  return { entries: root.entries(), fromHost: [] };
}

/** Users and name resolution. */
function skeleton(): RootFs {
  const root = new RootFs();
  root.text("etc/passwd", `root:x:0:0:root:/:/sbin/nologin\nlateen:x:${MESH_UID}:${MESH_UID}::/:/sbin/nologin\n`);
  root.text("etc/group", `root:x:0:\nlateen:x:${MESH_UID}:\n`);
  root.text("etc/nsswitch.conf", "hosts: files dns\n");
  root.folder("tmp", 0o1777);
  root.folder("proc");
  for (const name of ["libnss_dns.so.2", "libnss_files.so.2", "libresolv.so.2"]) {
    const found = libraryFolders()
      .map((folder) => join(folder, name))
      .find(existsSync);
    if (found !== undefined) root.file(found, found.slice(1), MODE_PROGRAM);
  }
  return root;
}

/** An app: its bundle, and what it needs of other files. @throws Error when it is not built. */
export function appLayer(app: string): RootPart {
  const dist = join(ROOT, "apps", app, "dist");
  if (!existsSync(join(dist, "main.js"))) throw new Error(`apps/${app} is not built; run \`npm run build\``);
  const root = new RootFs();
  root.text("lateen/package.json", `{"type":"module"}\n`);
  root.tree(dist, "lateen", (name) => !name.endsWith(".map"));
  const { proxy = false } = APP_IMAGES[app] ?? {};
  if (proxy) {
    for (const name of ["koffi", `@koromix/koffi-linux-${process.arch}`]) {
      const folder = join(ROOT, "node_modules", name);
      root.tree(folder, `lateen/node_modules/${name}`, (file) => /\.(c?js|json|node|txt)$/.test(file));
    }
    // Istio's injected pods call it by this name.
    root.text("usr/local/bin/pilot-agent", PILOT_AGENT, MODE_PROGRAM);
  }
  return { entries: root.entries(), fromHost: [] };
}

/** `iptables`, `iptables-save`, `iptables-restore` and the same for IPv6, on nftables. */
export function iptablesLayer(multi: string): RootPart {
  const root = new RootFs();
  const program = realpathSync(multi);
  root.program(program, "usr/sbin/xtables-nft-multi");
  for (const family of ["iptables", "ip6tables"])
    for (const suffix of ["", "-save", "-restore"]) root.link(`usr/sbin/${family}${suffix}`, "xtables-nft-multi");
  const extensions = libraryFolders()
    .map((folder) => join(folder, "xtables"))
    .find(existsSync);
  // At the path that iptables was built with, which is not the one it was found by where /lib is a link. They load nothing that iptables
  // itself does not.
  if (extensions !== undefined) root.tree(extensions, realpathSync(extensions).slice(1));
  for (const name of ["protocols", "services"])
    if (existsSync(`/etc/${name}`)) root.file(`/etc/${name}`, `etc/${name}`);
  return { entries: root.entries(), fromHost: root.fromHost };
}

function libraryFolders(): readonly string[] {
  const triple = process.arch === "arm64" ? "aarch64-linux-gnu" : "x86_64-linux-gnu";
  return [`/lib/${triple}`, `/usr/lib/${triple}`, "/lib64", "/usr/lib64", "/usr/lib"];
}

function librariesOf(program: string): readonly string[] {
  const { status, stdout: output } = spawnSync("ldd", [program], { encoding: "utf8" });
  // A program that is linked statically has none, which `ldd` calls a failure.
  if (status !== 0) return [];
  return [...output.matchAll(/(\/\S+)/g)]
    .map(([, path = ""]) => path)
    .filter((path) => statSync(path, { throwIfNoEntry: false })?.isFile());
}
