import {
  ConnectionFault,
  DEFAULT_WINDOW_BYTES,
  FLOW_CONTROL_ERROR,
  FRAME_BYTES,
  FRAME_SIZE_ERROR,
  MAX_WINDOW_BYTES,
  PROTOCOL_ERROR,
  readUint32,
  SETTING_ENABLE_PUSH,
  SETTING_INITIAL_WINDOW_SIZE,
  SETTING_MAX_CONCURRENT_STREAMS,
  SETTING_MAX_FRAME_SIZE,
} from "./frames.ts";

/** What the peer has said of itself. @see RFC 9113 §6.5.2 */
export class PeerSettings {
  /** Bytes it takes on a new stream. */
  initialWindow = DEFAULT_WINDOW_BYTES;
  maxStreams = Number.POSITIVE_INFINITY;
  maxFrame = FRAME_BYTES;

  /** Reads a SETTINGS payload; answers by how much the windows of open streams change. @throws ConnectionFault */
  read(bytes: Uint8Array, start: number, end: number): number {
    if ((end - start) % 6 !== 0) throw new ConnectionFault(FRAME_SIZE_ERROR, "SETTINGS come in sixes");
    const before = this.initialWindow;
    for (let at = start; at < end; at += 6) {
      this.#set(((bytes[at] as number) << 8) | (bytes[at + 1] as number), readUint32(bytes, at + 2));
    }
    return this.initialWindow - before;
  }

  #set(name: number, value: number): void {
    switch (name) {
      case SETTING_ENABLE_PUSH:
        if (value > 1) throw new ConnectionFault(PROTOCOL_ERROR, "ENABLE_PUSH is 0 or 1");
        return;
      case SETTING_MAX_CONCURRENT_STREAMS:
        this.maxStreams = value;
        return;
      case SETTING_INITIAL_WINDOW_SIZE:
        if (value > MAX_WINDOW_BYTES) throw new ConnectionFault(FLOW_CONTROL_ERROR, "window too large");
        this.initialWindow = value;
        return;
      case SETTING_MAX_FRAME_SIZE:
        if (value < FRAME_BYTES || value > 0xff_ffff) throw new ConnectionFault(PROTOCOL_ERROR, "bad MAX_FRAME_SIZE");
        this.maxFrame = value;
        return;
      default:
      // HEADER_TABLE_SIZE: our encoder uses no table. MAX_HEADER_LIST_SIZE is advice; others are to be ignored.
    }
  }
}
