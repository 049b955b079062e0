export type * from "./chain/spi.ts";
export type * from "./config/plan.ts";
export type * from "./worker/protocol.ts";
