import type {
  FieldDefinitions,
  FieldNode,
  Infer,
  InferObject,
  Optional,
  Required,
  Schema,
  SchemaNode,
} from "./types.ts";

export function string(): Schema<string> {
  return { type: "string" };
}
export function boolean(): Schema<boolean> {
  return { type: "boolean" };
}
export function integer(range: { readonly min?: number; readonly max?: number } = {}): Schema<number> {
  return { type: "number", integer: true, ...range };
}
export function number(range: { readonly min?: number; readonly max?: number } = {}): Schema<number> {
  return { type: "number", integer: false, ...range };
}
/** A duration string such as `"1.5s"`; see parseDuration in the kernel. */
export function duration(): Schema<string> {
  return { type: "duration" };
}
/** Kubernetes' IntOrString: a port number or a port name. */
export function intOrString(): Schema<number | string> {
  return { type: "intOrString" };
}
/** JSON that is kept as it is and not looked into. */
export function any(): Schema<unknown> {
  return { type: "any" };
}
export function oneOf<const V extends readonly string[]>(
  values: V,
  aliases?: Readonly<Record<string, V[number]>>,
): Schema<V[number]> {
  return { type: "enum", values, ...(aliases ? { aliases } : {}) };
}
export function array<S extends Schema<unknown>>(items: S): Schema<readonly Infer<S>[]> {
  return { type: "array", items };
}
export function map<S extends Schema<unknown>>(values: S): Schema<Readonly<Record<string, Infer<S>>>> {
  return { type: "map", values };
}
/** The field must be present. */
export function required<S extends Schema<unknown>>(schema: S): Required<Infer<S>> {
  return { requiredField: { schema, required: true } };
}
/** The field is part of the API, and using it is refused with this reason instead of being ignored. */
export function unsupported<S extends Schema<unknown>>(schema: S, reason: string): Optional<Infer<S>> {
  return { field: { schema, required: false, unsupported: reason } };
}
export function object<F extends FieldDefinitions>(definitions: F): Schema<InferObject<F>> {
  const fields: Record<string, FieldNode> = {};
  for (const [name, definition] of Object.entries(definitions)) {
    if ("requiredField" in definition) fields[name] = definition.requiredField;
    else if ("field" in definition) fields[name] = definition.field;
    else fields[name] = { schema: definition as SchemaNode, required: false };
  }
  return { type: "object", fields };
}
