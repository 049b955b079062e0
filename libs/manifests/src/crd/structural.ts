import type { FieldNode, NumberNode, ObjectNode, SchemaNode } from "@lateen/mesh-model";

/** A structural schema of a CustomResourceDefinition, as far as ours need it (apiextensions.k8s.io/v1 JSONSchemaProps). */
export interface StructuralSchema {
  readonly type?: "object" | "array" | "string" | "integer" | "number" | "boolean";
  readonly description?: string;
  readonly properties?: Readonly<Record<string, StructuralSchema>>;
  readonly additionalProperties?: StructuralSchema;
  readonly items?: StructuralSchema;
  readonly required?: readonly string[];
  readonly enum?: readonly string[];
  readonly pattern?: string;
  readonly format?: string;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly "x-kubernetes-preserve-unknown-fields"?: true;
  readonly "x-kubernetes-int-or-string"?: true;
}

/** The grammar of the kernel's `parseDuration`; a duration that is not negative. */
const DURATION = "^\\+?(0|((\\d+(\\.\\d+)?|\\.\\d+)(ns|us|µs|ms|s|m|h))+)$";

/**
 * The structural schema of what the decoder accepts. It is never stricter than the decoder, so that an API server refuses nothing that a
 * mesh on files takes; cross-field rules stay with the validating webhook. A field that this release refuses is part of it: the webhook
 * says why, where an API server would only say that it is unknown.
 */
export function structuralSchema(node: SchemaNode): StructuralSchema {
  switch (node.type) {
    case "string":
      return { type: "string" };
    case "boolean":
      return { type: "boolean" };
    case "any":
      return { "x-kubernetes-preserve-unknown-fields": true };
    case "duration":
      return { type: "string", maxLength: 64, pattern: DURATION };
    case "intOrString":
      return { "x-kubernetes-int-or-string": true };
    case "enum":
      return { type: "string", enum: [...node.values, ...Object.keys(node.aliases ?? {})] };
    case "number":
      return numberSchema(node);
    case "array":
      return { type: "array", items: structuralSchema(node.items) };
    case "map":
      return { type: "object", additionalProperties: structuralSchema(node.values) };
    case "object":
      return objectSchema(node);
  }
}

function numberSchema({ integer, min, max }: NumberNode): StructuralSchema {
  return {
    ...(integer ? { type: "integer" as const, format: "int64" } : { type: "number" as const }),
    ...(min === undefined ? {} : { minimum: min }),
    ...(max === undefined ? {} : { maximum: max }),
  };
}

function objectSchema({ fields }: ObjectNode): StructuralSchema {
  const entries = Object.entries(fields);
  const required = entries.filter(([, field]) => field.required).map(([name]) => name);
  return {
    type: "object",
    properties: Object.fromEntries(entries.map(([name, field]) => [name, fieldSchema(field)])),
    ...(required.length === 0 ? {} : { required }),
  };
}

function fieldSchema({ schema, unsupported }: FieldNode): StructuralSchema {
  const inner = structuralSchema(schema);
  return unsupported === undefined ? inner : { description: `Refused: ${unsupported}.`, ...inner };
}
