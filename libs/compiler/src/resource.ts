import { createHash } from "node:crypto";
import { LayeredMap } from "@lateen/kernel";
import { AnyPacker, type ReusingMessage, typeUrl } from "@lateen/proto";
import { Cluster } from "@lateen/proto/envoy/config/cluster/v3/cluster";
import { TypedExtensionConfig } from "@lateen/proto/envoy/config/core/v3/extension";
import { ClusterLoadAssignment } from "@lateen/proto/envoy/config/endpoint/v3/endpoint";
import { Listener } from "@lateen/proto/envoy/config/listener/v3/listener";
import { RouteConfiguration } from "@lateen/proto/envoy/config/route/v3/route";
import { Secret } from "@lateen/proto/envoy/extensions/transport_sockets/tls/v3/secret";
import type { Any } from "@lateen/proto/google/protobuf/any";
import { NameTable } from "@lateen/proto/istio/networking/nds/v1/nds";

/** The type URLs that the compiler answers. */
export const typeUrls = {
  cluster: typeUrl(Cluster),
  endpoint: typeUrl(ClusterLoadAssignment),
  listener: typeUrl(Listener),
  route: typeUrl(RouteConfiguration),
  secret: typeUrl(Secret),
  nds: typeUrl(NameTable),
  extension: typeUrl(TypedExtensionConfig),
} as const;

/** One xDS resource, encoded once and shared by every proxy that gets it. */
export interface EncodedResource {
  readonly name: string;
  /** Hash of the content: equal versions mean equal bytes. */
  readonly version: string;
  readonly any: Any;
}

/** Name → resource. */
export type ResourceMap = ReadonlyMap<string, EncodedResource>;

/**
 * Encodes messages, giving the same object for equal content however it came about. Holds results weakly: what no query
 * and no stream keeps is collected.
 */
export class ResourceInterner {
  readonly #packer = new AnyPacker();
  readonly #known = new Map<string, WeakRef<EncodedResource>>();
  readonly #collected = new FinalizationRegistry<string>((key) => {
    if (this.#known.get(key)?.deref() === undefined) this.#known.delete(key);
  });

  encode<T>(type: ReusingMessage<T>, name: string, message: T): EncodedResource {
    return this.intern(name, this.#packer.pack(type, message));
  }

  /** The same for content that is encoded already. */
  intern(name: string, any: EncodedResource["any"]): EncodedResource {
    const version = createHash("sha256").update(any.value).digest("base64url").slice(0, 22);
    const key = `${any.typeUrl} ${name} ${version}`;
    const known = this.#known.get(key)?.deref();
    if (known !== undefined) return known;
    const resource: EncodedResource = { name, version, any };
    this.#known.set(key, new WeakRef(resource));
    this.#collected.register(resource, key);
    return resource;
  }

  /** Distinct resources alive. */
  get size(): number {
    return this.#known.size;
  }
}

/** Whether two lists hold the identical resources in the same order. */
export function sameList<T>(before: readonly T[], after: readonly T[]): boolean {
  return before.length === after.length && before.every((item, index) => item === after[index]);
}

/** Whether two maps hold the identical values. */
export function sameMap<K, V>(before: ReadonlyMap<K, V>, after: ReadonlyMap<K, V>): boolean {
  if (before.size !== after.size) return false;
  for (const [key, value] of before) if (after.get(key) !== value) return false;
  return true;
}

/** Structural equality of plain data by canonical JSON. */
export function sameJson(before: unknown, after: unknown): boolean {
  return before === after || JSON.stringify(before) === JSON.stringify(after);
}

/** Whether two layered maps have the identical layers. */
export function sameLayers<V>(before: ReadonlyMap<string, V>, after: ReadonlyMap<string, V>): boolean {
  return before instanceof LayeredMap && after instanceof LayeredMap
    ? sameList(before.layers, after.layers)
    : sameMap(before, after);
}
