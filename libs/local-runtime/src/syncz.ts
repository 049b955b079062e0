import { diagnosticText, formatOrigin, type Origin } from "@lateen/mesh-model";

/** `namespace/pod` of every proxy that has acked what pilot sent it, out of pilot's /debug/syncz. */
export function parseSynced(answer: unknown): ReadonlySet<string> {
  const list = Array.isArray(answer) ? answer : record(answer).proxies;
  const synced = new Set<string>();
  for (const entry of Array.isArray(list) ? list : []) {
    const { pod, namespace, synced: isSynced } = record(entry);
    if (isSynced === true) synced.add(`${String(namespace)}/${String(pod)}`);
  }
  return synced;
}

/**
 * Whether these proxies have acked everything, and that was with this state of the registry or a later one.
 * @param pods `namespace/pod` of each; one that is not connected, or has two connections and is behind on one, has not.
 */
export function isSettled(answer: unknown, registryVersion: string, pods: readonly string[]): boolean {
  const { proxies, registryVersion: pushed } = record(answer);
  if (pushed === undefined || !(Number(pushed) >= Number(registryVersion)) || !Array.isArray(proxies)) return false;
  const settled = new Map<string, boolean>();
  for (const proxy of proxies) {
    const { pod, namespace, synced } = record(proxy);
    const key = `${String(namespace)}/${String(pod)}`;
    settled.set(key, synced === true && settled.get(key) !== false);
  }
  return pods.every((pod) => settled.get(pod) === true);
}

/** What pilot warns of: settings in force that some proxy cannot honour. `file:line:column: text`, each once. */
export function parseWarnings(answer: unknown): readonly string[] {
  const { warnings } = record(answer);
  const texts = (Array.isArray(warnings) ? warnings : []).map((warning) => {
    const { path, message, hint, origin } = record(warning);
    const { file, line, column } = record(origin);
    const said = diagnosticText({
      path: String(path ?? ""),
      message: String(message ?? ""),
      ...(typeof hint === "string" ? { hint } : {}),
    });
    if (typeof file !== "string" || file === "") return said;
    const place: Origin = { file, line: Number(line), column: Number(column) };
    return `${formatOrigin(place)}: ${said}`;
  });
  return [...new Set(texts)];
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}
