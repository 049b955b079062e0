import { BinaryWriter } from "@bufbuild/protobuf/wire";

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

/**
 * Packs message after message with one writer, whose block stays as large as it once had to be: of many messages of some kilobytes each,
 * growing a block anew for every one costs more than encoding. Not to be used while it packs.
 */
export class AnyPacker {
  readonly #writer = new BinaryWriter();

  pack<T>(type: ReusingMessage<T>, message: T): PackedAny {
    let bytes: Uint8Array;
    try {
      type.encode(message, this.#writer);
    } finally {
      // Also after a failure, or the next message would begin with what was written of this one.
      bytes = this.#writer.finish();
    }
    return { typeUrl: typeUrl(type), value: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength) };
  }
}

/** A message that encodes into a writer it is given. */
export interface ReusingMessage<T> {
  readonly $type: string;
  encode(message: T, writer?: BinaryWriter): BinaryWriter;
}
