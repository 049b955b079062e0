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

function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}
