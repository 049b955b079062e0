export { type Compiler, type CompilerChange, type CompilerOptions, createCompiler } from "./compiler.ts";
export type { EngineStats } from "./engine/query-engine.ts";
export { type KeySource, keySourceOf } from "./lower/jwt.ts";
export { type NodeCapabilities, nodeFromProto, type XdsNode } from "./node.ts";
export { type EncodedResource, type ResourceMap, typeUrls } from "./resource.ts";
export { isDiscovered } from "./world/discovery.ts";
