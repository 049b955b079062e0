import type { EncodedResource, StreamSource } from "../types.ts";

/** `name` at `version`; the body names both. */
export function resource(name: string, version: string, bytes = 0): EncodedResource {
  const body = Buffer.from(`${name}@${version}`);
  return { name, version, any: { typeUrl: "t", value: Buffer.concat([body, Buffer.alloc(bytes)]) } };
}

/** A source that tests fill; each {@link FakeSource.set} is a new revision. */
export class FakeSource implements StreamSource {
  #revision = 1;
  #types = new Map<string, ReadonlyMap<string, EncodedResource>>();
  /** Types that cannot be answered now. */
  readonly broken = new Set<string>();
  /** `type name` of which it cannot be said whether they exist. */
  readonly unsure = new Map<string, ReadonlySet<string>>();

  /** Replaces types: `{ name: version }`. */
  set(types: Readonly<Record<string, Readonly<Record<string, string>>>>, bytes = 0): void {
    this.#revision++;
    for (const [typeUrl, resources] of Object.entries(types)) {
      const map = new Map(Object.entries(resources).map(([name, version]) => [name, resource(name, version, bytes)]));
      this.#types.set(typeUrl, map);
    }
  }

  revision(): number {
    return this.#revision;
  }

  resources(typeUrl: string, names?: ReadonlySet<string>): ReadonlyMap<string, EncodedResource> | undefined {
    if (this.broken.has(typeUrl)) return undefined;
    const all = this.#types.get(typeUrl) ?? new Map<string, EncodedResource>();
    if (names === undefined) return all;
    const unsure = this.unknown(typeUrl);
    return new Map([...all].filter(([name]) => names.has(name) && !unsure.has(name)));
  }

  unknown(typeUrl: string): ReadonlySet<string> {
    return this.unsure.get(typeUrl) ?? new Set();
  }
}
