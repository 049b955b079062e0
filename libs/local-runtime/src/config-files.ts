import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { decodeText, keyOf, meshConfigFromConfigMap } from "@lateen/mesh-model";
import { ROOT_NAMESPACE } from "./gateways.ts";

const CONFIG_FILE = /\.(yaml|yml|json)$/;
/** JSON that lies beside sources and is never configuration. */
const NOT_CONFIG = /^(package|package-lock|tsconfig(\..*)?|jsconfig|project|nx|deno)\.json$/;

/** A file that was read. */
export interface ConfigText {
  readonly file: string;
  readonly text: string;
}

/**
 * Every YAML and JSON file among the paths, in a stable order; of a directory its own files, as kubectl and the control plane take them,
 * with `recursive` those below as well.
 * @throws the operating system's error when a path does not exist.
 */
export async function readConfigFiles(
  paths: readonly string[],
  options: { readonly recursive?: boolean } = {},
): Promise<readonly ConfigText[]> {
  const files: string[] = [];
  for (const path of paths) await collect(path, files, options.recursive ?? false);
  return Promise.all([...new Set(files)].map(async (file) => ({ file, text: await readFile(file, "utf8") })));
}

async function collect(path: string, files: string[], recursive: boolean): Promise<void> {
  if (!(await stat(path)).isDirectory()) {
    files.push(path);
    return;
  }
  const entries = (await readdir(path, { withFileTypes: true })).sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const entry of entries) {
    const inner = join(path, entry.name);
    if (entry.name.startsWith(".")) continue;
    if (entry.isDirectory() && recursive) await collect(inner, files, recursive);
    else if (!entry.isDirectory() && CONFIG_FILE.test(entry.name) && !NOT_CONFIG.test(entry.name)) files.push(inner);
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
