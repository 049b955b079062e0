import type { ServiceDefinition } from "@grpc/grpc-js";
import type { CallFacts } from "./peer.ts";

/** One gRPC service, ready to be served. */
export interface GrpcService {
  readonly name: string;
  readonly definition: ServiceDefinition;
  /** By name of the method; each takes the call, and where one message answers it, the function that sends that. */
  readonly implementation: Readonly<Record<string, (call: never, reply: never) => void>>;
  /** Ends what is open for good reasons only, so that clients go elsewhere; called once when the server closes. */
  readonly drain?: () => void;
}

export type { Authenticator } from "@lateen/ports";

/** A call of a stream in both directions, as the handlers of discovery services use it. */
export interface DuplexCall<Request> extends CallFacts {
  on(event: "data", listener: (request: Request) => void): unknown;
  on(event: "end" | "cancelled" | "close" | "error", listener: () => void): unknown;
  /** Ends the call with a status. */
  emit(event: "error", status: { readonly code: number; readonly details: string }): unknown;
  /** Ends the call well. */
  end(): void;
  getPeer(): string;
  /** Messages may travel compressed with gzip: the client says that it takes that. Only before the first message. */
  useGzip(): boolean;
  /** Sends an encoded message; `done` when it has left. The pieces may not change until then. */
  writePieces(pieces: readonly Uint8Array[], done: () => void, compressed?: boolean): void;
}
