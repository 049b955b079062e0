export * as s from "./builders.ts";
export type {
  EnumNode,
  FieldNode,
  Infer,
  InferObject,
  NumberNode,
  ObjectNode,
  Optional,
  Required,
  Schema,
  SchemaNode,
  StringNode,
} from "./types.ts";
