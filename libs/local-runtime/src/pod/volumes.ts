import { dirname, join, normalize, sep } from "node:path";
import { err, ok, type Result } from "@lateen/kernel";
import { ensureDirectory } from "@lateen/runtime";
import { replaceFile } from "../files.ts";
import type { World } from "../world.ts";
import { decodeSecret } from "./environment.ts";
import type { Volume } from "./types.ts";

/**
 * Makes a pod's volumes below its run directory: emptyDir is a fresh directory, ConfigMap and Secret volumes hold one file per key,
 * a persistentVolumeClaim is a directory that outlives the pod, hostPath is that path. A process without root cannot see them at
 * `mountPath`: their directories are handed out as `LATEEN_VOLUME_<NAME>` and `${volume:NAME}`.
 */
export async function makeVolumes(
  volumes: readonly Volume[],
  namespace: string,
  world: World,
  directories: { readonly pod: string; readonly persistent: string },
): Promise<Result<ReadonlyMap<string, string>, readonly string[]>> {
  const result = new Map<string, string>();
  const problems: string[] = [];
  for (const volume of volumes) {
    const made = await makeVolume(volume, namespace, world, directories);
    if (made.ok) result.set(volume.name, made.value);
    else problems.push(`volume ${volume.name}: ${made.error}`);
  }
  return problems.length > 0 ? err(problems) : ok(result);
}

/** Name of the variable that holds a volume's directory. */
export function volumeVariable(name: string): string {
  return `LATEEN_VOLUME_${name.toUpperCase().replaceAll(/[^A-Z0-9]/g, "_")}`;
}

async function makeVolume(
  volume: Volume,
  namespace: string,
  world: World,
  directories: { readonly pod: string; readonly persistent: string },
): Promise<Result<string, string>> {
  const directory = join(directories.pod, "volumes", volume.name);
  if (volume.configMap !== undefined) {
    const { name = "", items, optional } = volume.configMap;
    const map = world.configMap(namespace, name);
    if (map === undefined && !optional) return err(`ConfigMap ${namespace}/${name} does not exist`);
    const data = new Map<string, string | Uint8Array>(Object.entries(map?.data ?? {}));
    for (const [key, value] of Object.entries(map?.binaryData ?? {})) data.set(key, Buffer.from(value, "base64"));
    return writeFiles(directory, data, items);
  }
  if (volume.secret !== undefined) {
    const { secretName = "", items, optional } = volume.secret;
    const secret = world.secret(namespace, secretName);
    if (secret === undefined && !optional) return err(`Secret ${namespace}/${secretName} does not exist`);
    return writeFiles(directory, new Map(Object.entries(secret === undefined ? {} : decodeSecret(secret))), items);
  }
  if (typeof volume.hostPath === "object" && volume.hostPath !== null && "path" in volume.hostPath) {
    return ok(String(volume.hostPath.path));
  }
  if (typeof volume.persistentVolumeClaim === "object" && volume.persistentVolumeClaim !== null) {
    const claim =
      "claimName" in volume.persistentVolumeClaim ? String(volume.persistentVolumeClaim.claimName) : volume.name;
    const persistent = join(directories.persistent, `${namespace}.${claim}`);
    await ensureDirectory(persistent);
    return ok(persistent);
  }
  if (volume.emptyDir !== undefined || isBare(volume)) {
    await ensureDirectory(directory);
    return ok(directory);
  }
  const kind = Object.keys(volume).find((key) => key !== "name");
  return err(`${kind} volumes are not available on a local machine`);
}

/** A volume without a source is an emptyDir. */
function isBare(volume: Volume): boolean {
  return Object.keys(volume).length === 1;
}

async function writeFiles(
  directory: string,
  data: ReadonlyMap<string, string | Uint8Array>,
  items: readonly { readonly key: string; readonly path: string }[] | undefined,
): Promise<Result<string, string>> {
  await ensureDirectory(directory);
  const wanted = items ?? [...data.keys()].map((key) => ({ key, path: key }));
  for (const { key, path } of wanted) {
    const content = data.get(key);
    if (content === undefined) return err(`there is no key "${key}"`);
    const file = normalize(join(directory, path));
    if (!file.startsWith(directory + sep)) return err(`path "${path}" leaves the volume`);
    await ensureDirectory(dirname(file));
    await replaceFile(file, content);
  }
  return ok(directory);
}
