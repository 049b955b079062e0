import type { CancelTimer, Clock } from "@lateen/kernel";
import { DeltaDiscoveryResponse, Resource } from "@lateen/proto/envoy/service/discovery/v3/discovery";

/** Fields of `DeltaDiscoveryResponse`, `Resource` and `google.protobuf.Any`, all length-delimited. */
const RESOURCES = 0x12;
const VERSION = 0x0a;
const CONTENT = 0x12;
const NAME = 0x1a;
const TYPE_URL = 0x0a;
const VALUE = 0x12;

/** Bytes of encoded lists that are kept, and milliseconds that one is kept unused. */
const KEPT_BYTES = 16 * 1024 * 1024;
const KEPT_MS = 2_000;

interface Kept {
  readonly bytes: Buffer;
  usedAt: number;
}

/**
 * Encodes responses in which the same lists of resources travel to many streams: a list that comes again is encoded once and its bytes
 * are shared by all streams that send it, for as long as they do so within a short time. A response is such bytes and those of the rest.
 */
export class DeltaEncoder {
  readonly #clock: Clock;
  /** Lists that came before; the least recently used first. */
  readonly #kept = new Map<readonly Resource[], Kept>();
  readonly #seen = new WeakSet<readonly Resource[]>();
  #bytes = 0;
  #timer: CancelTimer | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Bytes that are kept. */
  get kept(): number {
    return this.#bytes;
  }

  /** The response in pieces, which may not be changed. `resources` may not be changed afterwards either. */
  encode(response: DeltaDiscoveryResponse): readonly Uint8Array[] {
    const { resources, ...rest } = response;
    const tail = DeltaDiscoveryResponse.encode({ ...rest, resources: [] }).finish();
    return resources.length === 0 ? [tail] : [this.#list(resources), tail];
  }

  #list(resources: readonly Resource[]): Buffer {
    const known = this.#kept.get(resources);
    if (known !== undefined) {
      known.usedAt = this.#clock.monotonic();
      this.#kept.delete(resources);
      this.#kept.set(resources, known);
      return known.bytes;
    }
    const bytes = encodeList(resources);
    if (this.#seen.has(resources)) this.#keep(resources, bytes);
    else this.#seen.add(resources);
    return bytes;
  }

  #keep(resources: readonly Resource[], bytes: Buffer): void {
    if (bytes.length > KEPT_BYTES) return;
    this.#kept.set(resources, { bytes, usedAt: this.#clock.monotonic() });
    this.#bytes += bytes.length;
    for (const oldest of this.#kept.keys()) {
      if (this.#bytes <= KEPT_BYTES) break;
      this.#drop(oldest);
    }
    this.#timer ??= this.#clock.after(KEPT_MS, () => this.#expire());
  }

  #expire(): void {
    this.#timer = undefined;
    const limit = this.#clock.monotonic() - KEPT_MS;
    for (const [resources, { usedAt }] of this.#kept) if (usedAt <= limit) this.#drop(resources);
    if (this.#kept.size > 0) this.#timer = this.#clock.after(KEPT_MS, () => this.#expire());
  }

  #drop(resources: readonly Resource[]): void {
    this.#bytes -= this.#kept.get(resources)?.bytes.length ?? 0;
    this.#kept.delete(resources);
  }
}

/** The field `resources` of a response. */
function encodeList(resources: readonly Resource[]): Buffer {
  const sizes = resources.map(sizesOf);
  // A block of its own: as part of a pool it would keep its neighbours.
  const bytes = Buffer.allocUnsafeSlow(sizes.reduce((sum, { whole }) => sum + 1 + varintSize(whole) + whole, 0));
  let at = 0;
  for (const [index, resource] of resources.entries()) {
    const size = sizes[index];
    if (size !== undefined) at = writeResource(bytes, at, resource, size);
  }
  return bytes;
}

interface Sizes {
  readonly name: number;
  readonly version: number;
  readonly typeUrl: number;
  /** Of the content with its type. */
  readonly any: number;
  readonly whole: number;
  /** The whole, where it has fields that travel rarely. */
  readonly other: Uint8Array | undefined;
}

function sizesOf(resource: Resource): Sizes {
  const { name, version, resource: any, aliases, ttl, cacheControl, metadata, resourceName, ...rest } = resource;
  const unusual =
    any === undefined ||
    aliases.length > 0 ||
    [ttl, cacheControl, metadata, resourceName].some((one) => one !== undefined);
  if (unusual || Object.keys(rest).length > 0) {
    const other = Resource.encode(resource).finish();
    return { name: 0, version: 0, typeUrl: 0, any: 0, whole: other.length, other };
  }
  const sizes = {
    name: Buffer.byteLength(name),
    version: Buffer.byteLength(version),
    typeUrl: Buffer.byteLength(any.typeUrl),
  };
  const anySize = fieldSize(sizes.typeUrl) + fieldSize(any.value.length);
  const whole = fieldSize(sizes.version) + 1 + varintSize(anySize) + anySize + fieldSize(sizes.name);
  return { ...sizes, any: anySize, whole, other: undefined };
}

function writeResource(bytes: Buffer, from: number, { name, version, resource: any }: Resource, sizes: Sizes): number {
  let at = writeHead(bytes, from, RESOURCES, sizes.whole);
  if (sizes.other !== undefined) {
    bytes.set(sizes.other, at);
    return at + sizes.other.length;
  }
  at = writeText(bytes, at, VERSION, version, sizes.version);
  at = writeHead(bytes, at, CONTENT, sizes.any);
  at = writeText(bytes, at, TYPE_URL, any?.typeUrl ?? "", sizes.typeUrl);
  const value = any?.value ?? Buffer.alloc(0);
  if (value.length > 0) {
    at = writeHead(bytes, at, VALUE, value.length);
    bytes.set(value, at);
    at += value.length;
  }
  return writeText(bytes, at, NAME, name, sizes.name);
}

/** Bytes of a field with so much content; an empty one is left out. */
function fieldSize(length: number): number {
  return length === 0 ? 0 : 1 + varintSize(length) + length;
}

function varintSize(value: number): number {
  let size = 1;
  for (let rest = value; rest > 127; rest >>>= 7) size++;
  return size;
}

function writeHead(bytes: Buffer, from: number, tag: number, length: number): number {
  let at = from;
  bytes[at++] = tag;
  let rest = length;
  for (; rest > 127; rest >>>= 7) bytes[at++] = (rest & 127) | 128;
  bytes[at++] = rest;
  return at;
}

function writeText(bytes: Buffer, from: number, tag: number, text: string, length: number): number {
  if (length === 0) return from;
  const at = writeHead(bytes, from, tag, length);
  bytes.write(text, at, length, length === text.length ? "latin1" : "utf8");
  return at + length;
}
