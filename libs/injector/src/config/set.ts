import { err, ok, type Result } from "@lateen/kernel";
import { isObject, type JsonObject } from "../json.ts";

type Segment = string | number;
const UNSAFE = new Set(["__proto__", "constructor", "prototype"]);

/**
 * One `--set path=value`: names separated by dots, `\.` for a dot within a name, `[n]` for an item of a list. The value is taken as it
 * stands; what it means is for the schema to say.
 * @returns values with the assignment in them, or what is wrong with it.
 */
export function assignValue(values: JsonObject, assignment: string): Result<JsonObject, string> {
  const equals = assignment.indexOf("=");
  if (equals <= 0) return err(`"${assignment}": an assignment is written path=value`);
  const path = pathOf(assignment.slice(0, equals));
  if (!path.ok) return err(`"${assignment}": ${path.error}`);
  const result = put(values, path.value, assignment.slice(equals + 1));
  return result === undefined
    ? err(`"${assignment}": the path leads through a value that has no such parts`)
    : ok(result as JsonObject);
}

function pathOf(text: string): Result<readonly Segment[], string> {
  const segments: Segment[] = [];
  let name = "";
  const end = (): boolean => {
    if (name === "" || UNSAFE.has(name)) return false;
    segments.push(name);
    name = "";
    return true;
  };
  for (let at = 0; at < text.length; at++) {
    const letter = text.charAt(at);
    if (letter === "\\" && at + 1 < text.length) name += text.charAt(++at);
    else if (letter === ".") {
      if (!(name === "" && typeof segments.at(-1) === "number") && !end()) return err("a name of the path is missing");
    } else if (letter === "[") {
      const close = text.indexOf("]", at);
      const index = text.slice(at + 1, close < 0 ? undefined : close);
      if (close < 0 || !/^\d{1,4}$/.test(index)) return err("an item of a list is written [n]");
      if (name !== "" && !end()) return err("a name of the path is missing");
      segments.push(Number(index));
      at = close;
    } else name += letter;
  }
  if (name !== "" && !end()) return err("a name of the path cannot be used");
  return segments.length === 0 || text.endsWith(".") ? err("the path is incomplete") : ok(segments);
}

/** Undefined: something on the way is neither map nor list. */
function put(target: unknown, path: readonly Segment[], value: unknown): unknown {
  const [segment, ...rest] = path;
  if (segment === undefined) return value;
  if (typeof segment === "number") {
    if (target !== undefined && !Array.isArray(target)) return undefined;
    const list: unknown[] = [...(target ?? [])];
    if (segment > list.length) return undefined;
    const inner = put(list[segment], rest, value);
    if (inner === undefined) return undefined;
    list[segment] = inner;
    return list;
  }
  if (target !== undefined && !isObject(target)) return undefined;
  const inner = put(target?.[segment], rest, value);
  return inner === undefined ? undefined : { ...target, [segment]: inner };
}
