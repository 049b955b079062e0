export { keyOf, parseResourceKey, resourceKey, type ResourceKey } from "./key.ts";
export * from "./kinds/index.ts";
export { type ObjectMeta, objectMetaSchema } from "./metadata.ts";
export { type Diagnostic, type DiagnosticLevel, formatOrigin, type Origin } from "./origin.ts";
export {
  type EnumNode,
  type FieldNode,
  type Infer,
  type ObjectNode,
  s,
  type Schema,
  type SchemaNode,
} from "./schema/index.ts";
export type { MeshService, MeshServicePort, Protocol, ServiceEndpoint, ServiceHost, Workload } from "./services/types.ts";
