import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { decodeText, keyOf, meshConfigFromConfigMap } from "@lateen/mesh-model";
import { ROOT_NAMESPACE } from "./gateways.ts";

const CONFIG_FILE = /\.(ya?ml|json)$/i;
const SKIPPED_DIRECTORIES = new Set(["node_modules", ".git"]);

/** A file that was read. */
export interface ConfigText {
  readonly file: string;
  readonly text: string;
}

/**
 * Every YAML and JSON file among the paths, directories searched to any depth, in a stable order.
 * @throws the operating system's error when a path does not exist.
 */
export async function readConfigFiles(paths: readonly string[]): Promise<readonly ConfigText[]> {
  const files: string[] = [];
  for (const path of paths) await collect(path, files, true);
  return Promise.all([...new Set(files)].map(async (file) => ({ file, text: await readFile(file, "utf8") })));
}

async function collect(path: string, files: string[], named: boolean): Promise<void> {
  const info = await stat(path);
  if (!info.isDirectory()) {
    if (named || CONFIG_FILE.test(path)) files.push(path);
    return;
  }
  const entries = (await readdir(path, { withFileTypes: true })).sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const entry of entries) {
    if (entry.name.startsWith(".") || SKIPPED_DIRECTORIES.has(entry.name)) continue;
    if (entry.isDirectory() || CONFIG_FILE.test(entry.name)) await collect(join(path, entry.name), files, false);
  }
}

/** What the user's own files say about the root namespace. */
export interface RootNamespaceFacts {
  /** Keys of the objects they define there; built-in objects of the same key are left out. */
  readonly keys: ReadonlySet<string>;
  readonly trustDomain: string;
}

/** Looks for objects of the root namespace. Only files that mention it are parsed: that happens before anything else can start. */
export async function scanRootNamespace(paths: readonly string[]): Promise<RootNamespaceFacts> {
  const keys = new Set<string>();
  let trustDomain = "cluster.local";
  for (const { file, text } of await readConfigFiles(paths)) {
    if (!text.includes(ROOT_NAMESPACE)) continue;
    for (const document of decodeText({ file, text })) {
      if (!document.ok) continue;
      const { object } = document;
      if (object.metadata.namespace !== ROOT_NAMESPACE && object.metadata.name !== ROOT_NAMESPACE) continue;
      keys.add(keyOf(object));
      if (object.kind !== "ConfigMap" || object.metadata.name !== "istio") continue;
      const config = meshConfigFromConfigMap(object);
      if (config.ok) trustDomain = config.value.trustDomain;
    }
  }
  return { keys, trustDomain };
}
