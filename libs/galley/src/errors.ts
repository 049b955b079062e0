import { type ErrorCode, LateenError } from "@lateen/kernel";
import type { Diagnostic, Origin } from "@lateen/mesh-model";

/** Codes of the diagnostics that galley adds to those of decoding. */
export const codes = {
  duplicateObject: "LTN2001",
  batchTooLarge: "LTN2002",
  addressTaken: "LTN2003",
  meshConfigInvalid: "LTN2004",
  unreadableFile: "LTN2005",
  ownedByFile: "LTN2006",
  overridden: "LTN2007",
  keptLastGood: "LTN2008",
  tooManyObjects: "LTN2009",
  notStored: "LTN2010",
  noAddress: "LTN2011",
  refusedObjects: "LTN2012",
} as const satisfies Record<string, ErrorCode>;

export function problem(code: ErrorCode, origin: Origin, message: string, hint?: string): Diagnostic {
  return { level: "error", code, message, path: "", origin, ...(hint === undefined ? {} : { hint }) };
}

/** LTN2002: more in one request than galley takes at once. */
export function batchTooLarge(message: string): LateenError {
  return new LateenError({ code: codes.batchTooLarge, fault: "user", message, hint: "apply fewer files at a time" });
}

/** LTN2010: the decision could not be made durable, so it is not in force. */
export function notStored(cause: unknown): LateenError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  const retryable = cause instanceof LateenError ? cause.retryable : true;
  return new LateenError({
    code: codes.notStored,
    fault: "system",
    message: `the change could not be stored and is not in force: ${reason}`,
    ...(cause instanceof LateenError && cause.hint !== undefined ? { hint: cause.hint } : {}),
    retryable,
    cause,
  });
}

/** LTN2012: objects that a component of the mesh wanted in force are not acceptable. */
export function refusedObjects(problems: readonly string[]): LateenError {
  return new LateenError({
    code: codes.refusedObjects,
    fault: "user",
    message: problems.join("; "),
    hint: "mend the object that it was made from",
  });
}

/** LTN2102: what was posted to the webhook is no AdmissionReview. */
export function notAReview(reason: string): LateenError {
  return new LateenError({
    code: "LTN2102",
    fault: "user",
    message: `this is no admission review that can be answered: ${reason}`,
  });
}
