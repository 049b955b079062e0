import { kindDefinition, type Resource } from "../kinds/index.ts";
import { objectMetaSchema } from "../metadata.ts";
import type { SchemaNode } from "../schema/index.ts";
import { isRecord } from "./decode-value.ts";

/**
 * The object as users write it: plain JSON with apiVersion, kind, metadata, then the rest, fields in the schema's order and map
 * keys sorted, so that equal objects give equal text. `decodeObject(encodeObject(x))` equals `x`. The result is a copy.
 */
export function encodeObject(object: Resource): Record<string, unknown> {
  const definition = kindDefinition(object.kind);
  const { apiVersion, kind, metadata, ...body } = object as Resource & Readonly<Record<string, unknown>>;
  const written = { ...metadata, namespace: metadata.namespace === "" ? undefined : metadata.namespace };
  return {
    apiVersion,
    kind: definition.writtenAs ?? kind,
    metadata: encodeValue(objectMetaSchema as SchemaNode, written),
    ...(encodeValue(definition.body, body) as Record<string, unknown>),
  };
}

function encodeValue(schema: SchemaNode | undefined, value: unknown): unknown {
  if (Array.isArray(value)) {
    const items = schema?.type === "array" ? schema.items : undefined;
    return value.map((item) => encodeValue(items, item));
  }
  if (!isRecord(value)) return value;
  const result: Record<string, unknown> = {};
  const fields = schema?.type === "object" ? schema.fields : {};
  const listed = Object.keys(fields).filter((name) => Object.hasOwn(value, name));
  const others = Object.keys(value).filter((name) => !Object.hasOwn(fields, name));
  for (const name of [...listed, ...others.sort()]) {
    const inner = value[name];
    if (inner === undefined) continue;
    result[name] = encodeValue(fields[name]?.schema ?? (schema?.type === "map" ? schema.values : undefined), inner);
  }
  return result;
}
