import { s } from "../../schema/index.ts";
import { count, LATER, port } from "../shared.ts";
import { backendObject } from "./refs.ts";

const headerList = s.array(s.object({ name: s.required(s.string()), value: s.required(s.string()) }));
const headerModifier = s.object({ set: headerList, add: headerList, remove: s.array(s.string()) });
const requestMirror = s.object({
  backendRef: s.required(s.object(backendObject)),
  percent: s.integer({ min: 0, max: 100 }),
  fraction: s.object({ numerator: s.required(count), denominator: s.integer({ min: 1, max: 2_147_483_647 }) }),
});
const pathModifier = s.object({
  type: s.required(s.oneOf(["ReplaceFullPath", "ReplacePrefixMatch"])),
  replaceFullPath: s.string(),
  replacePrefixMatch: s.string(),
});

/** gateway.networking.k8s.io HTTPRouteFilter. */
export const httpFilter = s.object({
  type: s.required(
    s.oneOf([
      "RequestHeaderModifier",
      "ResponseHeaderModifier",
      "RequestMirror",
      "RequestRedirect",
      "URLRewrite",
      "CORS",
      "ExternalAuth",
      "ExtensionRef",
    ]),
  ),
  requestHeaderModifier: headerModifier,
  responseHeaderModifier: headerModifier,
  requestMirror,
  requestRedirect: s.object({
    scheme: s.string(),
    hostname: s.string(),
    path: pathModifier,
    port,
    statusCode: s.integer(),
  }),
  urlRewrite: s.object({ hostname: s.string(), path: pathModifier }),
  cors: s.object({
    allowOrigins: s.array(s.string()),
    allowCredentials: s.boolean(),
    allowMethods: s.array(s.string()),
    allowHeaders: s.array(s.string()),
    exposeHeaders: s.array(s.string()),
    maxAge: s.integer({ min: 1, max: 2_147_483_647 }),
  }),
  externalAuth: s.unsupported(s.any(), LATER),
  extensionRef: s.unsupported(s.any(), "no extension of it is known"),
});

/** gateway.networking.k8s.io GRPCRouteFilter. */
export const grpcFilter = s.object({
  type: s.required(s.oneOf(["RequestHeaderModifier", "ResponseHeaderModifier", "RequestMirror", "ExtensionRef"])),
  requestHeaderModifier: headerModifier,
  responseHeaderModifier: headerModifier,
  requestMirror,
  extensionRef: s.unsupported(s.any(), "no extension of it is known"),
});

/** A match of a header or query parameter. */
export const namedMatch = s.array(
  s.object({
    type: s.oneOf(["Exact", "RegularExpression"]),
    name: s.required(s.string()),
    value: s.required(s.string()),
  }),
);
