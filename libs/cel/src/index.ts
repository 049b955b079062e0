export {
  ATTRIBUTE_TYPES,
  type AttributeName,
  type AttributeReaders,
  attributesOf,
  type CelUse,
  celProblem,
  compileFor,
} from "./attributes.ts";
export { type Attribute, type Attributes, type CelProgram, compileCel } from "./compile.ts";
export { CelProblem } from "./syntax.ts";
export { CelDuration, type CelMap, CelTimestamp, type CelType, type CelValue, textOf } from "./values.ts";
