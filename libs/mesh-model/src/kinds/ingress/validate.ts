import { codes } from "../../errors.ts";
import type { Infer } from "../../schema/index.ts";
import type { Check } from "../../validation/check.ts";
import { isPath } from "../gateway-api/check-filters.ts";
import { checkHostname } from "../gateway-api/check-refs.ts";
import type { KindContext } from "../index.ts";
import type { ingressBody } from "./schema.ts";

type Spec = NonNullable<Infer<typeof ingressBody>["spec"]>;

/** networking.k8s.io Ingress, as an API server checks it. */
export function validateIngress(body: Infer<typeof ingressBody>, context: KindContext): void {
  const check = context.check.at("spec");
  const spec = body.spec ?? {};
  if (spec.defaultBackend === undefined && (spec.rules ?? []).length === 0) {
    check.error("either defaultBackend or rules are required", { code: codes.missingField });
  }
  const annotation = context.metadata.annotations?.["kubernetes.io/ingress.class"];
  if (spec.ingressClassName === undefined && annotation === undefined) {
    check.warn("without ingressClassName it is served only where the mesh's ingressControllerMode is DEFAULT", {
      hint: "set ingressClassName: istio",
    });
  }
  checkBackend(spec.defaultBackend, check.at("defaultBackend"));
  for (const [index, tls] of (spec.tls ?? []).entries()) {
    for (const [at, host] of (tls.hosts ?? []).entries()) checkHostname(host, check.at("tls", index, "hosts", at));
  }
  for (const [index, rule] of (spec.rules ?? []).entries()) {
    const at = check.at("rules", index);
    checkHostname(rule.host, at.at("host"));
    for (const [number, path] of (rule.http?.paths ?? []).entries()) {
      const here = at.at("http", "paths", number);
      const text = path.path ?? "";
      const absolute = text.startsWith("/");
      if (!absolute && (path.pathType !== "ImplementationSpecific" || text !== "")) {
        here.at("path").error(`a path begins with "/", "${text}" does not`);
      }
      if (!isPath(text)) here.at("path").error(`"${text}" has a character that a path cannot have`);
      const bad = ["//", "/./", "/../", "%2f", "%2F"].find((part) => text.includes(part));
      if (bad !== undefined && path.pathType !== "ImplementationSpecific") {
        here.at("path").error(`a path must not contain "${bad}"`);
      }
      checkBackend(path.backend, here.at("backend"));
    }
  }
}

function checkBackend(backend: Spec["defaultBackend"], check: Check): void {
  if (backend === undefined) return;
  const { service } = backend;
  if (service === undefined) {
    check.error(`field "service" is required`, { code: codes.missingField });
    return;
  }
  if ((service.port?.number === undefined) === !service.port?.name) {
    check.at("service").error("exactly one of port.name and port.number is required", { code: codes.missingField });
  }
}
