import { type DecodeContext, type DecodeRun, decodeRun } from "../context.ts";

const context: DecodeContext = {
  httpFilters: [
    {
      name: "envoy.filters.http.fault",
      configType: "type.googleapis.com/fault",
      routeConfigType: "type.googleapis.com/fault",
      decodeConfig: (bytes) => bytes.toString(),
      decodeRouteConfig: () => {
        throw new Error("delay: must not be negative");
      },
      create: () => ({}),
    },
  ],
  networkFilters: [],
  readFile: (path) => {
    if (path.startsWith("/missing")) throw new Error("ENOENT");
    return Buffer.from(`<${path}>`);
  },
  readEnv: (name) => (name === "SET" ? "<env>" : undefined),
  systemRoots: () => "<system>",
};
/** A decoding with one filter, a small file system and one variable. */
export const run = (): DecodeRun => decodeRun(context);
