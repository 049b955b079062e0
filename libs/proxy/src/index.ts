export type * from "./chain/spi.ts";
export {
  cidr,
  fractionOf,
  headerMatch,
  join,
  onlyFields,
  queryMatch,
  re2Pattern,
  refuse,
  Refusal,
  runtimeFraction,
  stringMatch,
} from "./config/decode/index.ts";
export type * from "./config/plan.ts";
export type * from "./worker/protocol.ts";
