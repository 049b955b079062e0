import type { AdsSession } from "@lateen/ports";
import type { StreamProgress, StreamStatus } from "../types.ts";
import type { StreamCore } from "./stream-core.ts";

/** A server stream as its owner sees it: the transport's face, plus news of changes and a look inside. */
export interface ServerStream<Request> extends AdsSession<Request> {
  /** The source may answer differently now; sends what changed, as far as the stream can take it. */
  push(): void;
  /** The source has a new revision, at which it answers this stream as before. */
  unchanged(): void;
  /**
   * To be called once, when the client had time to ask for all its types (a second is plenty). Until then, what it brought from an
   * earlier stream and is gone is not taken away before it asked for the types that may still refer to it.
   */
  introduced(): void;
  status(): StreamStatus;
  /** What costs little of it. */
  progress(): StreamProgress;
}

/** The face of a stream whose requests `receive` understands; all else is the same for both variants of the protocol. */
export function serverStream<Request, Response>(
  core: StreamCore<Response>,
  receive: (request: Request) => void,
): ServerStream<Request> {
  return {
    receive,
    drained: () => core.drained(),
    closed: () => core.closedByPeer(),
    push: () => core.changed(),
    unchanged: () => core.unchanged(),
    introduced: () => core.introduced(),
    status: () => core.status(),
    progress: () => core.progress(),
  };
}
