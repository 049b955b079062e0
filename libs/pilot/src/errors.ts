import { LateenError, messageOf } from "@lateen/kernel";
import type { Diagnostic } from "@lateen/mesh-model";

/** LTN3501: an option of pilot makes no sense. */
export function badPilotOption(name: string, value: number, wanted: string): LateenError {
  return new LateenError({
    code: "LTN3501",
    fault: "user",
    message: `pilot option ${name} is ${value}`,
    hint: `use ${wanted}`,
    detail: { name, value },
  });
}

/** LTN3502: a debug question about a proxy that is not connected here. */
export function unknownProxy(proxyId: string): LateenError {
  return new LateenError({
    code: "LTN3502",
    fault: "user",
    message: `no proxy ${proxyId} is connected`,
    hint: "use POD.NAMESPACE of a connected proxy, as listed by /debug/syncz",
    detail: { proxyId },
  });
}

/** LTN3503: the registry could not be watched. Retried. */
export function registryFailed(cause: unknown): LateenError {
  return new LateenError({
    code: "LTN3503",
    fault: "system",
    message: `what runs could not be read: ${messageOf(cause)}`,
    hint: "check the registry; what was known last keeps serving",
    retryable: true,
    cause,
  });
}

/** LTN3504: a query parameter of a debug route is missing or wrong. */
export function badQuery(name: string, wanted: string): LateenError {
  return new LateenError({
    code: "LTN3504",
    fault: "user",
    message: `query parameter ${name} is missing or wrong`,
    hint: `use ${wanted}`,
    detail: { name },
  });
}

/** LTN3505: the compiler could not take an object over. A diagnostic, because everything else goes on. */
export function objectNotTakenOver(object: string, reason: string): Diagnostic {
  return {
    level: "error",
    code: "LTN3505",
    message: `${object} could not be taken over: ${reason}`,
    path: "",
    origin: { file: object, line: 1, column: 1 },
    hint: "its former version keeps serving",
  };
}

/** LTN3506: mesh configuration names a trust domain in which no certificates are issued here. A diagnostic, because all else holds. */
export function otherTrustDomain(wanted: string, inForce: string): Diagnostic {
  return {
    level: "warning",
    code: "LTN3506",
    path: "trustDomain",
    message: `trustDomain "${wanted}" is not in force: certificates are issued in "${inForce}"`,
    hint: "start the control plane with it",
    origin: { file: "ConfigMap/istio#mesh", line: 1, column: 1 },
  };
}

/** LTN3507: keys of a token issuer could not be fetched. A diagnostic, because all else holds. */
export function keysNotFetched(url: string, reason: string, kept: boolean): Diagnostic {
  return {
    level: "warning",
    code: "LTN3507",
    message: `keys could not be fetched from ${url}: ${reason}`,
    path: "spec.jwtRules",
    hint: kept ? "those of before stay in force" : "until they can be, tokens of this issuer are refused",
    origin: { file: "", line: 1, column: 1 },
  };
}
