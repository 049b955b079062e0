import { codes } from "../../errors.ts";
import type { Infer } from "../../schema/index.ts";
import type { Check } from "../../validation/check.ts";
import { checkDuration, checkStringMatch } from "../../validation/common.ts";
import { isHeaderName } from "../../validation/headers.ts";
import type { virtualServiceBody } from "./schema.ts";

type HttpRoute = NonNullable<Infer<typeof virtualServiceBody>["spec"]["http"]>[number];

const METHODS: ReadonlySet<string> = new Set([
  "GET",
  "HEAD",
  "POST",
  "PUT",
  "PATCH",
  "DELETE",
  "CONNECT",
  "OPTIONS",
  "TRACE",
  "*",
]);

/** CorsPolicy. */
export function checkCors(policy: HttpRoute["corsPolicy"], check: Check): void {
  if (policy === undefined) return;
  const { allowOrigin, allowOrigins } = policy;
  if (allowOrigin?.length && allowOrigins?.length) {
    check
      .at("allowOrigin")
      .error("allowOrigin and allowOrigins exclude each other", { code: codes.conflict, part: "key" });
  } else if (allowOrigin?.length) {
    check
      .at("allowOrigin")
      .warn("allowOrigin is deprecated", { code: "IST0002", part: "key", hint: "use allowOrigins" });
  } else if (!allowOrigins?.length) check.warn("without allowOrigins no origin is allowed");
  for (const [index, origin] of (allowOrigins ?? []).entries()) {
    checkStringMatch(origin, check.at("allowOrigins", index));
  }
  for (const [index, method] of (policy.allowMethods ?? []).entries()) {
    if (!METHODS.has(method)) check.at("allowMethods", index).error(`"${method}" is not an HTTP method`);
  }
  for (const field of ["allowHeaders", "exposeHeaders"] as const) {
    for (const [index, name] of (policy[field] ?? []).entries()) {
      if (!isHeaderName(name)) check.at(field, index).error(`"${name}" is not a header name`);
    }
  }
  checkDuration(policy.maxAge, check.at("maxAge"), true);
}
