/** An operation of a JSON patch (RFC 6902), of those that admission webhooks use. */
export interface PatchOperation {
  readonly op: "add" | "remove" | "replace";
  readonly path: string;
  readonly value?: unknown;
}

/** The object with a JSON patch applied (RFC 6902 §4: add, remove, replace). @throws Error for a place that is not there, and other operations. */
export function jsonPatched(object: object, operations: readonly PatchOperation[]): Record<string, unknown> {
  const result = structuredClone(object) as Record<string, unknown>;
  for (const operation of operations) {
    const names = operation.path
      .split("/")
      .slice(1)
      .map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
    const last = names.pop();
    if (last === undefined) throw new Error("a patch of the whole object");
    let parent: unknown = result;
    for (const name of names) parent = (parent as Readonly<Record<string, unknown>> | undefined)?.[name];
    if (typeof parent !== "object" || parent === null) throw new Error(`there is no ${operation.path}`);
    apply(parent as Record<string, unknown>, last, operation);
  }
  return result;
}

function apply(parent: Record<string, unknown>, name: string, { op, path, value }: PatchOperation): void {
  if (!["add", "remove", "replace"].includes(op)) throw new Error(`the operation ${op} is not known here`);
  if (op !== "add" && !Object.hasOwn(parent, name)) throw new Error(`there is no ${path}`);
  if (Array.isArray(parent)) {
    const at = name === "-" ? parent.length : Number(name);
    parent.splice(at, op === "add" ? 0 : 1, ...(op === "remove" ? [] : [value]));
  } else if (op === "remove") delete parent[name];
  else parent[name] = value;
}
