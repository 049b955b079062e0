import type { Http2Session } from "./session.ts";

/** What every stream has, whichever side opened it: windows, what waits for them, and how far it is. */
export abstract class Http2Stream {
  readonly id: number;
  readonly session: Http2Session;
  /** Which of the session's reads it was opened in. */
  readonly openedIn: number;
  /** Bytes the peer still takes on this stream. */
  sendWindow: number;
  /** Bytes the peer may still send on this stream. */
  receiveLeft: number;
  /** Taken and passed on, not yet given back to the peer's window. */
  credit = 0;
  /** Taken while the receiver was slow: given back when it is not any more. */
  held = 0;
  throttled = false;
  /** Body bytes that the peer has still to send by its content-length; -1 = it named none. */
  contentLeft = -1;
  /** We have sent END_STREAM. */
  localDone = false;
  /** The peer has sent END_STREAM. */
  remoteDone = false;
  closed = false;
  /** What waits for the peer's windows or its socket. */
  queue: Buffer[] | undefined = undefined;
  queuedBytes = 0;
  /** Trailers, once the body has ended behind the queue. */
  pendingEnd: string | undefined = undefined;

  constructor(session: Http2Session, id: number, windows: { readonly send: number; readonly receive: number }) {
    this.session = session;
    this.id = id;
    this.openedIn = session.reads;
    this.sendWindow = windows.send;
    this.receiveLeft = windows.receive;
  }

  /** Body bytes of the peer. */
  abstract onData(bytes: Buffer, start: number, end: number): void;
  /** END_STREAM of the peer. */
  abstract onEnd(trailers: string): void;
  /** The stream is over against our will: RST_STREAM, a violation, or the connection is gone. */
  abstract onReset(code: number, cause: StreamEnd): void;
  /** What was queued is sent. */
  abstract onDrained(): void;

  get congested(): boolean {
    return this.queue !== undefined;
  }

  enqueue(bytes: Buffer, start: number, end: number): void {
    this.queue ??= [];
    this.queue.push(Buffer.from(bytes.subarray(start, end)));
    this.queuedBytes += end - start;
  }

  /** Stops or resumes giving the peer room, because whoever takes what it sends is slow. */
  throttle(on: boolean): void {
    this.throttled = on;
    if (on || this.held === 0) return;
    const { held } = this;
    this.held = 0;
    this.session.giveBack(this, held);
  }
}

/** Who ended a stream early. */
export type StreamEnd = "peer" | "violation" | "connection" | "refused";
