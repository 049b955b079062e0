import type { XdsNode } from "@lateen/compiler";
import type { Caller } from "@lateen/ports";
import { type StreamProgress, type StreamStatus, xdsTypes } from "@lateen/xds";
import type { GuardedSource } from "./guarded-source.ts";

/** Which proxy a stream serves; known after its first request. */
export interface AdmittedProxy {
  readonly node: XdsNode;
  /** Version the proxy says it is, or `unknown`. */
  readonly version: string;
  readonly source: GuardedSource;
}

/** One open ADS stream. */
export interface Connection {
  /** Grows with every stream. */
  readonly id: number;
  readonly protocol: "delta" | "sotw";
  readonly caller: Caller | undefined;
  /** The one type that a stream of its own service carries; undefined for ADS. */
  readonly only: string | undefined;
  /** Milliseconds since the epoch. */
  readonly connectedAt: number;
  proxy: AdmittedProxy | undefined;
  /** See `Compiler.kindOf`; as of its first request. */
  kind: string | undefined;
  /** Monotonic time of the oldest change that this proxy has not acknowledged yet. */
  changedSince: number | undefined;
  /** The same for the oldest change that its stream has not been told of. */
  untoldSince: number | undefined;
  /** Monotonic time since which it waits to be pushed to. */
  queuedAt: number | undefined;
  /** Something was sent since then. */
  sentSince: boolean;
  /** What the compiler's answers were at the last push, see `Compiler.content`. */
  content: unknown;
  /** Sends what changed; does next to nothing when nothing did. */
  push(): void;
  status(): StreamStatus;
  /** What costs little of it. */
  progress(): StreamProgress;
  /** Ends the stream. */
  end(code: number, message: string): void;
}

/** Every proxy asks for these; one that has not yet is still starting. */
const ESSENTIAL = [xdsTypes.cluster, xdsTypes.listener];

/** Whether a proxy runs everything that push number `push` gave it. */
export function hasSettled({ proxy, progress }: Pick<Connection, "proxy" | "progress">, push: number): boolean {
  const { clean, settledRevision, asked } = progress();
  if (!clean || settledRevision === undefined || settledRevision < push) return false;
  // Libraries for gRPC ask for what they call, which may be nothing yet.
  if (proxy?.node.generator === "grpc") return true;
  // Not whether it acknowledged them: a proxy that came back with all versions is sent nothing.
  return ESSENTIAL.every(asked);
}
