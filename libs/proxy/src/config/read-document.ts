import type { Document, LineCounter, Node, YAMLMap, YAMLSeq } from "yaml";

/** The reader of YAML, which only those load who have a file to read. */
type Yaml = Pick<typeof import("yaml"), "LineCounter" | "parseDocument" | "isMap" | "isSeq">;

/** A YAML or JSON text that was read, and where its fields stand. */
export class ReadDocument {
  readonly value: unknown;
  readonly #yaml: Yaml;
  readonly #document: Document;
  readonly #lines: LineCounter;

  /** @throws what the reader says of a text that is no YAML. */
  constructor(yaml: Yaml, text: string) {
    this.#yaml = yaml;
    this.#lines = new yaml.LineCounter();
    const document = yaml.parseDocument(text, { lineCounter: this.#lines });
    const [problem] = document.errors;
    if (problem !== undefined) throw problem;
    this.#document = document;
    this.value = document.toJS({ maxAliasCount: 100 });
  }

  /**
   * Line of the deepest part of a path that can be found, from 1. Steps are names in snake or camel case, and positions or names of list
   * items in brackets; what the file wraps a message in (`typed_config`) need not be named.
   */
  lineOf(path: string): number {
    let at: Node | null | undefined = this.#document.contents as Node | null;
    let offset = at?.range?.[0] ?? 0;
    for (const [, name, item] of path.matchAll(/([^.[\]]+)|\[([^\]]*)\]/g)) {
      const found: Found | undefined = item === undefined ? this.#field(at, name ?? "") : this.#item(at, item);
      if (found === undefined) continue;
      at = found.node;
      offset = found.offset;
    }
    return this.#lines.linePos(offset).line;
  }

  #field(node: Node | null | undefined, name: string): Found | undefined {
    if (!this.#yaml.isMap(node)) return undefined;
    const own = this.#pair(node, name);
    if (own !== undefined) return own;
    const inner = this.#pair(node, "typed_config")?.node;
    return this.#yaml.isMap(inner) ? this.#pair(inner, name) : undefined;
  }

  #pair(map: YAMLMap, name: string): Found | undefined {
    const pair = map.items.find(({ key }) => bare(String(key)) === bare(name));
    if (pair === undefined) return undefined;
    const key = pair.key as Node;
    return { node: pair.value as Node | null, offset: key.range?.[0] ?? 0 };
  }

  #item(node: Node | null | undefined, text: string): Found | undefined {
    if (this.#yaml.isMap(node)) return this.#pair(node, text);
    if (!this.#yaml.isSeq(node)) return undefined;
    const named = (node as YAMLSeq).items.find((item) => this.#yaml.isMap(item) && item.get("name") === text);
    const item = (named ?? (/^\d+$/.test(text) ? node.items[Number(text)] : undefined)) as Node | undefined;
    return item === undefined ? undefined : { node: item, offset: item.range?.[0] ?? 0 };
  }
}

interface Found {
  readonly node: Node | null;
  readonly offset: number;
}

/** The same for `foo_bar` and `fooBar`. */
function bare(name: string): string {
  return name.replaceAll("_", "").toLowerCase();
}
