import type { StoredObject } from "./storage.ts";

export type Matches = (object: StoredObject) => boolean;

/** Selectors of a list or a watch: equality and existence of labels, equality of fields. */
export function selectorOf(namespace: string | undefined, labels: string | null, fields: string | null): Matches {
  const tests: Matches[] = [];
  if (namespace !== undefined) tests.push(({ metadata }) => metadata.namespace === namespace);
  for (const term of terms(labels)) {
    const { path, value, equal } = split(term);
    tests.push(({ metadata }) =>
      value === undefined
        ? Object.hasOwn(metadata.labels ?? {}, path) === equal
        : (metadata.labels?.[path] === value) === equal,
    );
  }
  for (const term of terms(fields)) {
    const { path, value, equal } = split(term);
    tests.push((object) => (fieldOf(object, path) === value) === equal);
  }
  return (object) => tests.every((test) => test(object));
}

function terms(selector: string | null): readonly string[] {
  return (selector ?? "").split(",").filter((term) => term !== "");
}

function split(term: string): { readonly path: string; readonly value: string | undefined; readonly equal: boolean } {
  const match = /^(.*?)(!=|==|=)(.*)$/.exec(term);
  if (match !== null) return { path: match[1] ?? "", value: match[3] ?? "", equal: match[2] !== "!=" };
  return { path: term.replace(/^!/, ""), value: undefined, equal: !term.startsWith("!") };
}

function fieldOf(object: StoredObject, path: string): string {
  let value: unknown = object;
  for (const name of path.split(".")) {
    value = typeof value === "object" && value !== null ? (value as Record<string, unknown>)[name] : undefined;
  }
  return value === undefined ? "" : String(value);
}
