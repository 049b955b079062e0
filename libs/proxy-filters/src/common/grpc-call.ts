import type { FilterContext, SideCall } from "@lateen/proxy";

/** Where a filter finds the gRPC service it asks. */
export interface GrpcServiceSpec {
  readonly cluster: string;
  readonly authority: string;
  /** Milliseconds; 0 = none. */
  readonly timeoutMs: number;
  readonly metadata: readonly (readonly [name: string, value: string])[];
  readonly maxResponseBytes: number;
}

export type GrpcOutcome =
  | { readonly ok: true; readonly message: Buffer }
  | { readonly ok: false; readonly timeout: boolean; readonly detail: string };

/** A unary call. What is not a whole message with status 0 is a failure. @see gRPC over HTTP/2 */
export function callGrpc(
  context: FilterContext,
  service: GrpcServiceSpec,
  call: { readonly path: string; readonly message: Uint8Array },
  done: (outcome: GrpcOutcome) => void,
): SideCall {
  const { cluster, authority, timeoutMs, metadata, maxResponseBytes } = service;
  const body = Buffer.alloc(5 + call.message.length);
  body.writeUInt32BE(call.message.length, 1);
  body.set(call.message, 5);
  const headers = [
    ["content-type", "application/grpc"] as const,
    ...(timeoutMs > 0 ? [["grpc-timeout", `${Math.ceil(timeoutMs)}m`] as const] : []),
    ...metadata,
  ];
  const request = { cluster, method: "POST", path: call.path, authority, headers, body, grpc: true, timeoutMs };
  return context.call({ ...request, maxResponseBytes }, (outcome) => {
    if (outcome.kind === "failed") {
      done({ ok: false, timeout: outcome.reason === "timeout", detail: outcome.detail });
      return;
    }
    const status = [...outcome.trailers, ...outcome.headers].find(([name]) => name === "grpc-status")?.[1];
    const message = outcome.status === 200 && status === "0" ? onlyMessage(outcome.body) : undefined;
    if (message === undefined) {
      done({
        ok: false,
        timeout: status === "4",
        detail: `status ${outcome.status}, grpc-status ${status ?? "missing"}`,
      });
    } else done({ ok: true, message });
  });
}

function onlyMessage(body: Buffer): Buffer | undefined {
  const whole = body.length >= 5 && body[0] === 0 && body.readUInt32BE(1) === body.length - 5;
  return whole ? body.subarray(5) : undefined;
}
