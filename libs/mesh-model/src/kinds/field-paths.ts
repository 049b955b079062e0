import type { SchemaNode } from "../schema/index.ts";
import { type KindName, kindDefinition } from "./index.ts";

/**
 * Everything that can be written in an object of a kind and is honoured, in the order of its schema: `spec.hosts[]`, and for lists of values
 * `spec.tls.mode: SIMPLE`. Names of maps are `{}`.
 */
export function fieldPaths(kind: KindName): readonly string[] {
  return pathsOf(kindDefinition(kind).body, "");
}

/** What of it an object, or a document that decodes to one, says. */
export function usedPaths(kind: KindName, document: unknown): ReadonlySet<string> {
  const found = new Set<string>();
  collect(kindDefinition(kind).body, document, "", found);
  return found;
}

function pathsOf(schema: SchemaNode, path: string): readonly string[] {
  switch (schema.type) {
    case "array":
      return pathsOf(schema.items, `${path}[]`);
    case "map":
      return pathsOf(schema.values, `${path}{}`);
    case "enum":
      return schema.values.map((value) => `${path}: ${value}`);
    case "object":
      return Object.entries(schema.fields).flatMap(([name, field]) =>
        field.unsupported === undefined ? pathsOf(field.schema, path === "" ? name : `${path}.${name}`) : [],
      );
    default:
      return [path];
  }
}

function collect(schema: SchemaNode, value: unknown, path: string, found: Set<string>): void {
  if (value === undefined || value === null) return;
  switch (schema.type) {
    case "array":
      if (Array.isArray(value)) for (const item of value) collect(schema.items, item, `${path}[]`, found);
      return;
    case "map":
      for (const item of Object.values(value)) collect(schema.values, item, `${path}{}`, found);
      return;
    case "enum":
      found.add(`${path}: ${schema.aliases?.[String(value)] ?? String(value)}`);
      return;
    case "object":
      for (const [name, field] of Object.entries(schema.fields)) {
        const inner = (value as Readonly<Record<string, unknown>>)[name];
        collect(field.schema, inner, path === "" ? name : `${path}.${name}`, found);
      }
      return;
    default:
      found.add(path);
  }
}
