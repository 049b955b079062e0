/** gRPC's status codes, in their order: the index is the code (grpc/status.proto). */
const NAMES = [
  "OK",
  "CANCELLED",
  "UNKNOWN",
  "INVALID_ARGUMENT",
  "DEADLINE_EXCEEDED",
  "NOT_FOUND",
  "ALREADY_EXISTS",
  "PERMISSION_DENIED",
  "RESOURCE_EXHAUSTED",
  "FAILED_PRECONDITION",
  "ABORTED",
  "OUT_OF_RANGE",
  "UNIMPLEMENTED",
  "INTERNAL",
  "UNAVAILABLE",
  "DATA_LOSS",
  "UNAUTHENTICATED",
];

/** The code of HTTPFaultInjection.Abort.grpcStatus: a name, or the code itself; undefined when it is neither. */
export function grpcStatusCode(text: string): number | undefined {
  if (/^(\d|1[0-6])$/.test(text)) return Number(text);
  const code = NAMES.indexOf(text);
  return code < 0 ? undefined : code;
}
