import type { ServiceDefinition } from "@grpc/grpc-js";
import { AggregatedDiscoveryServiceService } from "@lateen/proto/envoy/service/discovery/v3/ads";
import { DeltaDiscoveryResponse, Resource } from "@lateen/proto/envoy/service/discovery/v3/discovery";
import type { Any } from "@lateen/proto/google/protobuf/any";

/** Tag of `DeltaDiscoveryResponse.resources`: field 2, length-delimited. */
const RESOURCES_TAG = 0x12;

/** Bytes from which on responses are encoded in the same block again and again. */
const SCRATCH_FROM = 65_536;

/**
 * Encodes responses in which the same resources travel to many streams: each resource is encoded once, for as long as it lives, and
 * a response is put together from such pieces. The bytes are those of `DeltaDiscoveryResponse.encode`, except that resources come first.
 */
export class DeltaEncoder {
  readonly #pieces = new WeakMap<Any, Piece>();
  #scratch = Buffer.alloc(0);

  /** The bytes are valid until the next call: grpc-js copies them into its frame at once. */
  encode(response: DeltaDiscoveryResponse): Buffer {
    const { resources, ...rest } = response;
    const tail = DeltaDiscoveryResponse.encode({ ...rest, resources: [] }).finish();
    if (resources.length === 0) return Buffer.from(tail.buffer, tail.byteOffset, tail.byteLength);
    let length = tail.length;
    const pieces = resources.map((resource) => {
      const piece = this.#piece(resource);
      length += piece.length;
      return piece;
    });
    const whole = this.#space(length);
    let at = 0;
    for (const piece of pieces) {
      whole.set(piece, at);
      at += piece.length;
    }
    whole.set(tail, at);
    return whole;
  }

  #space(length: number): Buffer {
    if (length < SCRATCH_FROM) return Buffer.allocUnsafe(length);
    // Large blocks that live for a moment make the garbage collector run far too often.
    if (this.#scratch.length < length) this.#scratch = Buffer.allocUnsafe(Math.max(length, 2 * this.#scratch.length));
    return this.#scratch.subarray(0, length);
  }

  /** The field `resources` of a response that holds this one. */
  #piece(resource: Resource): Uint8Array {
    const { resource: any, name, version } = resource;
    const known = any === undefined ? undefined : this.#pieces.get(any);
    if (known !== undefined && known.name === name && known.version === version) return known.bytes;
    const bytes = lengthDelimited(Resource.encode(resource).finish());
    if (any !== undefined) this.#pieces.set(any, { name, version, bytes });
    return bytes;
  }
}

interface Piece {
  readonly name: string;
  readonly version: string;
  readonly bytes: Uint8Array;
}

function lengthDelimited(content: Uint8Array): Uint8Array {
  const head = [RESOURCES_TAG];
  let rest = content.length;
  while (rest > 127) {
    head.push((rest & 127) | 128);
    rest >>>= 7;
  }
  head.push(rest);
  const field = new Uint8Array(head.length + content.length);
  field.set(head);
  field.set(content, head.length);
  return field;
}

/** The ADS definition with that encoder for delta responses. */
export function adsDefinition(encoder: DeltaEncoder): ServiceDefinition {
  const definition = AggregatedDiscoveryServiceService;
  return {
    ...definition,
    deltaAggregatedResources: {
      ...definition.deltaAggregatedResources,
      responseSerialize: (response: DeltaDiscoveryResponse) => encoder.encode(response),
    },
  };
}
