export type { PrinterColumn } from "./crd/columns.ts";
export { type CustomResourceDefinition, customResourceDefinitions } from "./crd/crds.ts";
export { type StructuralSchema, structuralSchema } from "./crd/structural.ts";
