import { type Diagnostic, decodeObject, diagnosticText, meshConfigFromConfigMap } from "@lateen/mesh-model";
import { type AdmissionRequest, type AdmissionVerdict, admissionReview, readAdmissionReview } from "@lateen/runtime";
import { createRegistry } from "@lateen/telemetry";
import type { FastifyPluginAsync } from "fastify";
import { notAReview } from "./errors.ts";

/** Answers an API server that asks whether configuration may be stored. */
export interface AdmissionValidator {
  /** Answers one AdmissionReview (v1 or v1beta1). @throws LTN2102 when it is none. */
  review(body: unknown): Readonly<Record<string, unknown>>;
  /** Prometheus text. */
  metrics(): string;
}

/** Errors that one refusal names; the rest is counted. */
const NAMED = 20;

/**
 * The same judgement as galley's own, object by object, before an API server stores it: what is refused here never was configuration. Kinds that
 * are none of the mesh's pass, as do deletions.
 */
export function createAdmissionValidator(): AdmissionValidator {
  const registry = createRegistry();
  const passed = registry.counter({
    name: "galley_validation_http_passed_total",
    help: "Objects that the webhook let pass.",
    labels: ["kind"],
  });
  const failed = registry.counter({
    name: "galley_validation_http_failed_total",
    help: "Objects that the webhook refused.",
    labels: ["kind"],
  });
  const broken = registry.counter({
    name: "galley_validation_http_error_total",
    help: "Requests that were no admission review.",
  });
  return {
    review(body) {
      const request = readAdmissionReview(body);
      if (!request.ok) {
        broken.add();
        throw notAReview(request.error);
      }
      const verdict = judge(request.value);
      (verdict.allowed ? passed : failed).add({ kind: request.value.kind });
      return admissionReview(request.value, verdict);
    },
    metrics: () => registry.exposition(),
  };
}

function judge({ operation, object, kind, namespace, name }: AdmissionRequest): AdmissionVerdict {
  if (operation === "DELETE" || operation === "CONNECT") return { allowed: true };
  const origin = { file: `${kind}/${namespace === "" ? "" : `${namespace}/`}${name}`, line: 1, column: 1 };
  const document = decodeObject(object, origin, namespace === "" ? {} : { defaultNamespace: namespace });
  if (!document.ok) {
    const errors = document.diagnostics.filter(({ level }) => level === "error");
    const warnings = document.diagnostics.filter(({ level }) => level === "warning");
    // Another controller's kind: the webhook was registered for more than it is for.
    if (document.ignored) return { allowed: true };
    return { allowed: false, message: textOf(errors), warnings: warnings.map(diagnosticText) };
  }
  const warnings = document.warnings.map(diagnosticText);
  const { object: decoded } = document;
  if (decoded.kind === "ConfigMap" && decoded.metadata.name === "istio") {
    const config = meshConfigFromConfigMap(decoded);
    if (!config.ok) return { allowed: false, message: textOf(config.error), warnings };
  }
  return { allowed: true, warnings };
}

function textOf(errors: readonly Diagnostic[]): string {
  const named = errors.slice(0, NAMED).map(diagnosticText);
  const rest = errors.length - named.length;
  return [...named, ...(rest > 0 ? [`and ${rest} more`] : [])].join("; ");
}

/** `POST /validate`, the webhook's path; `/validate/` as installations of Istio write it. */
export function validationRoutes(validator: AdmissionValidator): FastifyPluginAsync {
  return async (app) => {
    for (const path of ["/validate", "/validate/"]) {
      app.post(path, async (request) => validator.review(request.body));
    }
  };
}
