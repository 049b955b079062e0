import { codes } from "../../errors.ts";
import type { Infer } from "../../schema/index.ts";
import { isDnsLabel } from "../../validation/names.ts";
import { checkWorkloadTemplate } from "../deployment/validate.ts";
import type { KindContext } from "../index.ts";
import type { statefulSetBody } from "./schema.ts";

/** apps/v1 StatefulSet. */
export function validateStatefulSet(body: Infer<typeof statefulSetBody>, context: KindContext): void {
  const check = context.check.at("spec");
  checkWorkloadTemplate(body.spec, check);
  const { serviceName } = body.spec;
  if (serviceName && !isDnsLabel(serviceName)) {
    check.at("serviceName").error(`"${serviceName}" is no name of a Service`, { code: codes.badValue });
  }
}
