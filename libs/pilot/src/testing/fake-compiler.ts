import type { CompilerChange, XdsNode } from "@lateen/compiler";
import { keyOf } from "@lateen/mesh-model";
import { type EncodedResource, xdsTypes } from "@lateen/xds";
import type { PilotCompiler } from "../compiler-face.ts";

/** Every object is a cluster and an endpoint list of its name; `pilot`, the only listener, has their number as version. Fails where it is told to. */
export class FakeCompiler implements PilotCompiler {
  readonly changes: CompilerChange[] = [];
  /** Throws for this proxy (pod), type and name; `*` is any. */
  failFor: { readonly pod: string; readonly typeUrl: string; readonly name?: string } | undefined;
  /** Throws when this object is applied. */
  poison: string | undefined;
  readonly #objects = new Map<string, string>();
  readonly #kinds = new Set<string>();
  #last = new Map<string, ReadonlyMap<string, EncodedResource>>();

  apply(change: CompilerChange): void {
    if (change.upserted.some((object) => keyOf(object) === this.poison)) throw new Error("poisoned object");
    this.changes.push(change);
    for (const key of change.removed) this.#objects.delete(key);
    for (const object of change.upserted) {
      this.#objects.set(keyOf(object), String(object.metadata.labels?.version ?? "1"));
    }
    this.#last = new Map();
  }

  resources(node: XdsNode, typeUrl: string, names?: ReadonlySet<string>): ReadonlyMap<string, EncodedResource> {
    const fail = this.failFor;
    if (fail !== undefined && fail.typeUrl === typeUrl && (fail.pod === "*" || fail.pod === node.pod)) {
      if (fail.name === undefined || names?.has(fail.name)) throw new Error("cannot compile");
    }
    const all = this.#last.get(typeUrl) ?? this.#build(typeUrl);
    this.#last.set(typeUrl, all);
    return names === undefined ? all : new Map([...all].filter(([name]) => names.has(name)));
  }

  /** Clients are as many kinds as they have values of the label `kind`. */
  kindOf(node: XdsNode): string {
    const kind = node.labels.kind ?? "";
    this.#kinds.add(kind);
    return kind;
  }

  get kinds(): number {
    return this.#kinds.size;
  }

  retain(nodes: Iterable<XdsNode>): void {
    this.#kinds.clear();
    for (const node of nodes) this.kindOf(node);
  }

  warnings(): readonly never[] {
    return [];
  }

  #build(typeUrl: string): ReadonlyMap<string, EncodedResource> {
    const entries: (readonly [string, string])[] =
      typeUrl === xdsTypes.listener ? [["pilot", String(this.#objects.size)]] : [...this.#objects];
    return new Map(
      entries.map(([name, version]) => [name, { name, version, any: { typeUrl, value: Buffer.from(version) } }]),
    );
  }
}
