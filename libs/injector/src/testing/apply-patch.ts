import type { PatchOperation } from "../patch.ts";

/** Applies a JSON patch as an API server would. @see RFC 6902 */
export function applyPatch(document: unknown, patch: readonly PatchOperation[]): unknown {
  let result: unknown = structuredClone(document);
  for (const operation of patch) {
    const names = operation.path
      .split("/")
      .slice(1)
      .map((name) => name.replaceAll("~1", "/").replaceAll("~0", "~"));
    const last = names.pop();
    if (last === undefined) {
      if (operation.op === "remove") throw new Error("the document cannot be removed");
      result = operation.value;
      continue;
    }
    let target = result as Record<string, unknown>;
    for (const name of names) {
      if (!Object.hasOwn(target, name)) throw new Error(`${operation.path} leads nowhere`);
      target = target[name] as Record<string, unknown>;
    }
    if (operation.op !== "add" && !Object.hasOwn(target, last)) throw new Error(`${operation.path} does not exist`);
    if (Array.isArray(target)) {
      if (operation.op === "remove") target.splice(Number(last), 1);
      else if (operation.op === "add") target.splice(last === "-" ? target.length : Number(last), 0, operation.value);
      else target[Number(last)] = operation.value;
    } else if (operation.op === "remove") delete target[last];
    else target[last] = operation.value;
  }
  return result;
}
