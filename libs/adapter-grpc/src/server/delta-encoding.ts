import type { CancelTimer, Clock } from "@lateen/kernel";
import { DeltaDiscoveryResponse, Resource } from "@lateen/proto/envoy/service/discovery/v3/discovery";
import { type Deflated, deflateStart, gzipOf } from "./gzip.ts";

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

/** Bytes of a list from which on it is worth compressing. */
const WORTH_BYTES = 2 * 1024;
/** Private keys do not compress, and what their compressed size tells must not depend on what travels with them. */
const NEVER_COMPRESSED = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";

interface Kept {
  plain: Uint8Array | undefined;
  deflated: Deflated | undefined;
  usedAt: number;
}

/** A response as it travels. */
export interface EncodedResponse {
  /** May not be changed. */
  readonly pieces: readonly Uint8Array[];
  /** They are a gzip member. */
  readonly compressed: boolean;
}

/**
 * Encodes responses in which the same lists of resources travel to many streams: a list that comes again is encoded once and its bytes
 * are shared by all streams that send it, for as long as they do so within a short time. A list that came once is the contents of its
 * resources, which are shared by all lists they are part of, with what is written around each of them. Nothing large is copied. For
 * clients that take gzip, a list that comes again is compressed, once as well.
 */
export class DeltaEncoder {
  readonly #clock: Clock;
  /** Lists that came before; the least recently used first. */
  readonly #kept = new Map<readonly Resource[], Kept>();
  readonly #seen = new WeakSet<readonly Resource[]>();
  /** What is written before the contents of resources, for as long as these live. */
  readonly #heads = new WeakMap<Resource, Uint8Array>();
  #bytes = 0;
  #timer: CancelTimer | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Bytes that are kept. */
  get kept(): number {
    return this.#bytes;
  }

  /** @param gzip the client takes it. `resources` may not be changed afterwards. */
  encode(response: DeltaDiscoveryResponse, gzip = false): EncodedResponse {
    const { resources, ...rest } = response;
    const tail = DeltaDiscoveryResponse.encode({ ...rest, resources: [] }).finish();
    const kept = resources.length === 0 ? undefined : this.#keptOf(resources);
    if (kept === undefined) {
      return { pieces: [...resources.flatMap((resource) => this.#pieces(resource)), tail], compressed: false };
    }
    if (gzip && response.typeUrl !== NEVER_COMPRESSED && sizeOf(resources) >= WORTH_BYTES) {
      if (kept.deflated === undefined) {
        kept.deflated = deflateStart(kept.plain ?? this.#joined(resources));
        this.#grow(kept.deflated.bytes.length);
      }
      return { pieces: gzipOf(kept.deflated, tail), compressed: true };
    }
    if (kept.plain === undefined) {
      kept.plain = this.#joined(resources);
      this.#grow(kept.plain.length);
    }
    return { pieces: [kept.plain, tail], compressed: false };
  }

  /** What is kept of a list; undefined the first time that it comes. */
  #keptOf(resources: readonly Resource[]): Kept | undefined {
    const usedAt = this.#clock.monotonic();
    const known = this.#kept.get(resources);
    if (known === undefined && !this.#seen.has(resources)) {
      this.#seen.add(resources);
      return undefined;
    }
    const kept = known ?? { plain: undefined, deflated: undefined, usedAt };
    kept.usedAt = usedAt;
    this.#kept.delete(resources);
    this.#kept.set(resources, kept);
    return kept;
  }

  #joined(resources: readonly Resource[]): Uint8Array {
    return joined(resources.flatMap((resource) => this.#pieces(resource)));
  }

  #pieces(resource: Resource): readonly Uint8Array[] {
    let head = this.#heads.get(resource);
    if (head === undefined) {
      head = headOf(resource);
      this.#heads.set(resource, head);
    }
    const content = isUsual(resource) ? resource.resource?.value : undefined;
    return content === undefined || content.length === 0 ? [head] : [head, content];
  }

  #grow(bytes: number): void {
    this.#bytes += bytes;
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
    const { plain, deflated } = this.#kept.get(resources) ?? {};
    this.#bytes -= (plain?.length ?? 0) + (deflated?.bytes.length ?? 0);
    this.#kept.delete(resources);
  }
}

/** One block of its own: as part of a pool it would keep its neighbours. */
function joined(pieces: readonly Uint8Array[]): Buffer {
  const bytes = Buffer.allocUnsafeSlow(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}

/** Whether a resource has no other fields than name, version and content. */
function isUsual(resource: Resource): boolean {
  const { name, version, resource: any, aliases, ttl, cacheControl, metadata, resourceName, ...rest } = resource;
  if (any === undefined || aliases.length > 0 || Object.keys(rest).length > 0) return false;
  return [ttl, cacheControl, metadata, resourceName].every((one) => one === undefined);
}

/** A resource as an element of the field `resources`, up to its content, which comes last; all of it where it has unusual fields. */
function headOf(resource: Resource): Uint8Array {
  if (!isUsual(resource)) {
    const whole = Resource.encode(resource).finish();
    const head = Buffer.allocUnsafe(1 + varintSize(whole.length));
    writeHead(head, 0, RESOURCES, whole.length);
    return Buffer.concat([head, whole]);
  }
  const { name, version, resource: any } = resource;
  const typeUrl = any?.typeUrl ?? "";
  const content = any?.value.length ?? 0;
  const size = {
    name: Buffer.byteLength(name),
    version: Buffer.byteLength(version),
    typeUrl: Buffer.byteLength(typeUrl),
  };
  const anySize = fieldSize(size.typeUrl) + fieldSize(content);
  const whole = fieldSize(size.version) + fieldSize(size.name) + 1 + varintSize(anySize) + anySize;
  const bytes = Buffer.allocUnsafe(1 + varintSize(whole) + whole - content);
  let at = writeHead(bytes, 0, RESOURCES, whole);
  at = writeText(bytes, at, VERSION, version, size.version);
  at = writeText(bytes, at, NAME, name, size.name);
  at = writeHead(bytes, at, CONTENT, anySize);
  at = writeText(bytes, at, TYPE_URL, typeUrl, size.typeUrl);
  if (content > 0) writeHead(bytes, at, VALUE, content);
  return bytes;
}

/** Bytes of the contents. */
function sizeOf(resources: readonly Resource[]): number {
  return resources.reduce((sum, { resource }) => sum + (resource?.value.length ?? 0), 0);
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
