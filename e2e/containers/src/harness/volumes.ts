import { chmod, chown, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fieldOf, type Pod, type Volume } from "./pod.ts";

/** What the kubelet gets from outside for the volumes of a pod. */
export interface VolumeSources {
  /** Data of a ConfigMap, once it is there. */
  configMap(namespace: string, name: string): Promise<Readonly<Record<string, string>>>;
  /** Data of a Secret, once it is there. */
  secret(namespace: string, name: string): Promise<Readonly<Record<string, string>>>;
  /** A token of the pod's account for an audience. */
  token(pod: Pod, audience: string): string;
}

/** Makes a folder for a volume, as the kubelet does before it starts containers. @returns where it is. */
export async function makeVolume(
  folder: string,
  volume: Volume,
  pod: Pod,
  address: string,
  sources: VolumeSources,
): Promise<string> {
  const place = join(folder, volume.name);
  await mkdir(place, { recursive: true });
  // Of everybody, as an emptyDir is.
  await chmod(place, 0o777);
  if (volume.configMap !== undefined) {
    const data = await sources.configMap(pod.metadata.namespace, volume.configMap.name);
    for (const [name, text] of Object.entries(data)) await writeFile(join(place, name), text, { mode: 0o644 });
  }
  if (volume.secret !== undefined) {
    const { secretName, items } = volume.secret;
    const data = await sources.secret(pod.metadata.namespace, secretName);
    for (const { key, path } of items ?? Object.keys(data).map((each) => ({ key: each, path: each })))
      await writeSecret(join(place, path), data[key] ?? "");
  }
  for (const { serviceAccountToken: token } of volume.projected?.sources ?? []) {
    if (token !== undefined) await writeSecret(join(place, token.path), sources.token(pod, token.audience));
  }
  for (const { path, fieldRef } of volume.downwardAPI?.items ?? [])
    await writeFile(join(place, path), fieldOf(pod, address, fieldRef.fieldPath), { mode: 0o644 });
  return place;
}

const MESH_UID = 1337;
/** A secret of the pod's user; of anybody where this process may not give files away. */
export async function writeSecret(file: string, text: string): Promise<void> {
  await writeFile(file, text, { mode: 0o600 });
  await chown(file, MESH_UID, MESH_UID).catch(() => chmod(file, 0o644));
}
