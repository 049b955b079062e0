import { isObject, type JsonObject } from "./json.ts";

/** What tells the items of a list apart, by the list's name, as Kubernetes' strategic merge does it for pods. */
const MERGE_KEYS: Readonly<Record<string, readonly string[]>> = {
  containers: ["name"],
  initContainers: ["name"],
  ephemeralContainers: ["name"],
  volumes: ["name"],
  imagePullSecrets: ["name"],
  env: ["name"],
  volumeMounts: ["mountPath"],
  volumeDevices: ["devicePath"],
  ports: ["containerPort", "protocol"],
  hostAliases: ["ip"],
  topologySpreadConstraints: ["topologyKey", "whenUnsatisfiable"],
};
/** Lists of plain values that are joined. */
const JOINED = new Set(["finalizers", "searches", "add", "drop"]);
/** What an item without the field means by it. */
const DEFAULTS: Readonly<Record<string, string>> = { protocol: "TCP" };

/**
 * Lays one part of a pod over another: maps are merged, lists of named things by name (`containers`, `env`, `volumes` …), anything else is
 * replaced. `null` takes a field away. The items of the base keep their places, new ones come after them.
 * @see Kubernetes, strategic merge patch
 */
export function mergeOver(base: JsonObject, overlay: JsonObject): JsonObject {
  const result: Record<string, unknown> = { ...base };
  for (const [name, value] of Object.entries(overlay)) {
    if (value === undefined) continue;
    if (value === null) {
      delete result[name];
      continue;
    }
    const present = result[name];
    if (isObject(present) && isObject(value)) result[name] = mergeUnion(name, present, value);
    else if (Array.isArray(present) && Array.isArray(value)) result[name] = mergeLists(name, present, value);
    else result[name] = value;
  }
  return result;
}

/** A variable has either a value or a source, and a volume one source: the new one goes for the old one. */
function mergeUnion(name: string, present: JsonObject, value: JsonObject): JsonObject {
  const isHandler = name === "preStop" || name === "postStart";
  return isHandler ? value : mergeOver(present, value);
}

function mergeLists(name: string, base: readonly unknown[], overlay: readonly unknown[]): readonly unknown[] {
  const keys = MERGE_KEYS[name];
  if (keys === undefined) return JOINED.has(name) ? [...new Set([...base, ...overlay])] : overlay;
  const idOf = (item: unknown): string =>
    isObject(item) ? keys.map((key) => String(item[key] ?? DEFAULTS[key] ?? "")).join("\0") : JSON.stringify(item);
  const result = [...base];
  const places = new Map(base.map((item, index) => [idOf(item), index]));
  for (const item of overlay) {
    const place = places.get(idOf(item));
    if (place === undefined) {
      places.set(idOf(item), result.length);
      result.push(item);
      continue;
    }
    result[place] = mergeItem(name, result[place], item);
  }
  return result;
}

function mergeItem(list: string, present: unknown, value: unknown): unknown {
  if (!isObject(present) || !isObject(value)) return value;
  if (list === "env") return value;
  if (list === "volumes" && Object.keys(value).length > 1) return value;
  return mergeOver(present, value);
}
