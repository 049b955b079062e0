import type { Any } from "@lateen/proto/google/protobuf/any";

/** One resource of an update. */
export interface ReceivedResource {
  readonly name: string;
  readonly version: string;
  readonly any: Any;
}

/** One response, to be taken over as far as possible. */
export interface XdsUpdate {
  readonly typeUrl: string;
  /** `system_version_info` of the response; for logs. */
  readonly version: string;
  readonly nonce: string;
  readonly upserted: readonly ReceivedResource[];
  /** Gone, or never there. */
  readonly removed: readonly string[];
}

/** A resource that could not be taken over; what was there before under this name keeps serving. */
export interface ApplyFailure {
  readonly name: string;
  readonly reason: string;
}
