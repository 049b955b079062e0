import type { StructuralSchema } from "../crd/structural.ts";

/**
 * What an API server with `fieldValidation=Strict` says about a value: unknown fields, types, enums, ranges, patterns, missing fields.
 * @returns one line a fault, `path: what`.
 */
export function structuralFaults(schema: StructuralSchema, value: unknown, path = ""): readonly string[] {
  if (schema["x-kubernetes-int-or-string"] === true) {
    return typeof value === "string" || Number.isInteger(value) ? [] : [`${path}: neither integer nor string`];
  }
  switch (schema.type) {
    case "object":
      return isObject(value) ? objectFaults(schema, value, path) : [`${path}: no object`];
    case "array":
      if (!Array.isArray(value)) return [`${path}: no array`];
      return value.flatMap((item, index) =>
        schema.items === undefined ? [] : structuralFaults(schema.items, item, `${path}[${index}]`),
      );
    case "string":
      return stringFaults(schema, value, path);
    case "boolean":
      return typeof value === "boolean" ? [] : [`${path}: no boolean`];
    case "integer":
    case "number":
      return numberFaults(schema, value, path);
    default:
      return [];
  }
}

/** What is no structural schema: a field without a type, properties beside additionalProperties, and so on (apiextensions' rules). */
export function schemaFaults(schema: StructuralSchema, path = "", root = true): readonly string[] {
  const faults: string[] = [];
  const open = schema["x-kubernetes-preserve-unknown-fields"] === true || schema["x-kubernetes-int-or-string"] === true;
  if (schema.type === undefined && (root || !open)) faults.push(`${path}: has no type`);
  if (schema.properties !== undefined && schema.additionalProperties !== undefined)
    faults.push(`${path}: properties and additionalProperties`);
  if (schema.type === "array" && schema.items === undefined) faults.push(`${path}: array without items`);
  for (const name of schema.required ?? [])
    if (schema.properties?.[name] === undefined) faults.push(`${path}: requires ${name}, which it does not have`);
  for (const [name, inner] of Object.entries(schema.properties ?? {}))
    faults.push(...schemaFaults(inner, `${path}.${name}`, false));
  if (schema.items !== undefined) faults.push(...schemaFaults(schema.items, `${path}[]`, false));
  if (schema.additionalProperties !== undefined)
    faults.push(...schemaFaults(schema.additionalProperties, `${path}{}`, false));
  return faults;
}

function objectFaults(schema: StructuralSchema, value: Readonly<Record<string, unknown>>, path: string): string[] {
  const faults = (schema.required ?? [])
    .filter((name) => !Object.hasOwn(value, name))
    .map((name) => `${path}.${name}: required`);
  for (const [name, item] of Object.entries(value)) {
    const inner = schema.properties?.[name] ?? schema.additionalProperties;
    if (inner !== undefined) faults.push(...structuralFaults(inner, item, `${path}.${name}`));
    else if (schema["x-kubernetes-preserve-unknown-fields"] !== true) faults.push(`${path}.${name}: unknown field`);
  }
  return faults;
}

function stringFaults(schema: StructuralSchema, value: unknown, path: string): string[] {
  if (typeof value !== "string") return [`${path}: no string`];
  const faults: string[] = [];
  if (schema.enum !== undefined && !schema.enum.includes(value)) faults.push(`${path}: "${value}" is not in the enum`);
  if (schema.maxLength !== undefined && value.length > schema.maxLength) faults.push(`${path}: too long`);
  if (schema.pattern !== undefined && !new RegExp(schema.pattern, "u").test(value))
    faults.push(`${path}: "${value}" does not match`);
  return faults;
}

function numberFaults(schema: StructuralSchema, value: unknown, path: string): string[] {
  const right = schema.type === "integer" ? Number.isSafeInteger(value) : typeof value === "number";
  if (!right || typeof value !== "number") return [`${path}: no ${schema.type}`];
  const { minimum = -Infinity, maximum = Infinity } = schema;
  return value < minimum || value > maximum ? [`${path}: ${value} is out of range`] : [];
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
