export * as s from "./builders.ts";
export type { EnumNode, FieldNode, Infer, NumberNode, ObjectNode, Schema, SchemaNode, StringNode } from "./types.ts";
