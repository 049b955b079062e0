import { LateenError } from "@lateen/kernel";

/** LTN3901: what was posted is no AdmissionReview of a pod. */
export function badReview(reason: string, cause?: unknown): LateenError {
  return new LateenError({
    code: "LTN3901",
    fault: "user",
    message: `this is no admission review that can be answered: ${reason}`,
    cause,
  });
}

/** LTN3902: an injection configuration cannot be read. */
export function badInjectionConfig(problems: readonly string[]): LateenError {
  return new LateenError({
    code: "LTN3902",
    fault: "user",
    message: `the injection configuration cannot be used: ${problems.join("; ")}`,
    hint: "see the ConfigMap istio-sidecar-injector (config, values) and the mesh configuration",
  });
}
