/** What every generated message object offers and packing needs. */
export interface AnyMessage<T> {
  readonly $type: string;
  encode(message: T): { finish(): Uint8Array };
}

/** Shape of google.protobuf.Any in the generated code. */
export interface PackedAny {
  typeUrl: string;
  value: Buffer;
}

/** `type.googleapis.com/` + the full message name, as xDS carries it. */
export function typeUrl(type: { readonly $type: string }): string {
  return `type.googleapis.com/${type.$type}`;
}

/** Encodes a message into google.protobuf.Any. */
export function packAny<T>(type: AnyMessage<T>, message: T): PackedAny {
  return { typeUrl: typeUrl(type), value: Buffer.from(type.encode(message).finish()) };
}
