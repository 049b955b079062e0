import { status } from "@grpc/grpc-js";

/** Ends a call with this status. */
export class RpcFailure extends Error {
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

/** Status code and text of whatever a handler ended its call with. */
export function statusOf(error: unknown): { readonly code: number; readonly details: string } {
  const { code, details, message } = (typeof error === "object" && error !== null ? error : {}) as {
    readonly code?: unknown;
    readonly details?: unknown;
    readonly message?: unknown;
  };
  const text = typeof details === "string" ? details : typeof message === "string" ? message : "unknown error";
  return { code: typeof code === "number" ? code : status.UNKNOWN, details: text };
}

/** Characters of a status text that are sent. */
const MAX_TEXT = 2048;

/** `grpc-message`: bytes outside printable ASCII, and `%`, are percent-encoded (gRPC over HTTP/2, "Status-Message"). */
export function encodeStatusText(text: string): string {
  return text
    .slice(0, MAX_TEXT)
    .toWellFormed()
    .replace(/[^ -$&-~]+/g, (odd) =>
      [...Buffer.from(odd)].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`).join(""),
    );
}
