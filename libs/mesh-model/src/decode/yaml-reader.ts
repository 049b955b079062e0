import { isAlias, isMap, isScalar, isSeq, type Pair, type Scalar, type YAMLMap } from "yaml";
import { codes } from "../errors.ts";
import type { Origin } from "../origin.ts";
import { limits } from "./limits.ts";
import type { Locate, Path } from "./types.ts";

export interface YamlProblem {
  readonly code: string;
  readonly message: string;
  readonly origin: Origin;
}
/** Turns the library's tree into plain JSON the way Kubernetes reads YAML, within bounds. */
export class YamlReader {
  readonly problems: YamlProblem[] = [];
  readonly #at: (offset: number) => Origin;
  readonly #start: Origin;
  readonly #anchors = new Map<string, unknown>();
  /** Alias node → the node it stands for. */
  readonly #targets = new Map<unknown, unknown>();
  #values = 0;
  #aliased = 0;
  #inAlias = 0;
  #full = false;

  constructor(at: (offset: number) => Origin, start: Origin) {
    this.#at = at;
    this.#start = start;
  }

  read(node: unknown, depth = 0): unknown {
    if (this.#full || !this.#count(node, depth)) return undefined;
    if (isAlias(node)) return this.#readAlias(node, depth);
    const anchor = (node as { anchor?: string } | null)?.anchor;
    if (anchor !== undefined) this.#anchors.set(anchor, node);
    if (isScalar(node)) return this.#readScalar(node);
    if (isSeq(node)) return node.items.map((item) => this.read(item, depth + 1) ?? null);
    if (isMap(node)) return this.#readMap(node, depth);
    return null;
  }

  locator(root: unknown): Locate {
    return (path, part) => {
      const found = this.#find(root, path);
      const node = (part === "key" ? (found.key ?? found.value) : found.value) ?? found.key;
      const range = (node as { range?: readonly [number, number, number] | null } | undefined)?.range;
      return range ? this.#at(range[0]) : this.#start;
    };
  }

  #count(node: unknown, depth: number): boolean {
    this.#values++;
    if (this.#inAlias > 0) this.#aliased++;
    const message =
      depth > limits.depth
        ? `nested deeper than ${limits.depth} levels`
        : this.#aliased > limits.aliasedValues
          ? `aliases expand to more than ${limits.aliasedValues} values`
          : this.#values > limits.values
            ? `more than ${limits.values} values in one document`
            : undefined;
    if (message === undefined) return true;
    this.#full = true;
    this.#problem(node, message, codes.bounds);
    return false;
  }

  #readAlias(node: { readonly source: string }, depth: number): unknown {
    const target = this.#anchors.get(node.source);
    if (target === undefined) {
      this.#problem(node, `alias *${node.source} has no anchor before it`, codes.syntax);
      return null;
    }
    this.#targets.set(node, target);
    this.#inAlias++;
    const value = this.read(target, depth + 1);
    this.#inAlias--;
    return value;
  }

  #readScalar(node: Scalar): unknown {
    const { value } = node;
    // go-yaml, and so kubectl, reads 0644 as octal.
    if (typeof value === "number" && node.source !== undefined && /^0[0-7]+$/.test(node.source)) {
      return Number.parseInt(node.source, 8);
    }
    if (typeof value === "number" && !Number.isFinite(value)) {
      this.#problem(node, `${node.source ?? "this"} is not a number that can be kept`, codes.badValue);
      return null;
    }
    return value === undefined ? null : value;
  }

  #readMap(node: YAMLMap, depth: number): unknown {
    const result: Record<string, unknown> = {};
    const merges: Pair[] = [];
    for (const pair of node.items) {
      const name = this.#keyOf(pair);
      if (name === undefined) continue;
      if (name === "<<" && isPlain(pair.key)) {
        merges.push(pair);
        continue;
      }
      if (name === "__proto__") this.#problem(pair.key, `"__proto__" cannot be a name`, codes.badValue);
      else if (Object.hasOwn(result, name)) this.#problem(pair.key, `"${name}" is written twice`, codes.duplicate);
      else result[name] = this.read(pair.value, depth + 1);
    }
    for (const pair of merges) this.#merge(result, pair, depth);
    return result;
  }

  #merge(into: Record<string, unknown>, pair: Pair, depth: number): void {
    const merged = this.read(pair.value, depth + 1);
    for (const source of Array.isArray(merged) ? merged : [merged]) {
      if (typeof source !== "object" || source === null || Array.isArray(source)) {
        this.#problem(pair.value, `"<<" needs a map`, codes.syntax);
        return;
      }
      for (const [name, value] of Object.entries(source)) {
        if (!Object.hasOwn(into, name)) into[name] = value;
      }
    }
  }

  #keyOf(pair: Pair): string | undefined {
    const { key } = pair;
    if (!isScalar(key) || key.value === null || key.value === undefined) {
      this.#problem(key ?? pair.value, "a name must be plain text", codes.syntax);
      return undefined;
    }
    return typeof key.value === "string" ? key.value : (key.source ?? String(key.value));
  }

  #problem(node: unknown, message: string, code: string): void {
    if (this.problems.length >= limits.findings) return;
    const range = (node as { range?: readonly [number, number, number] | null } | null)?.range;
    this.problems.push({ code, message, origin: range ? this.#at(range[0]) : this.#start });
  }

  /** The deepest part of the path that exists. */
  #find(root: unknown, path: Path): { key: unknown; value: unknown } {
    let found: { key: unknown; value: unknown } = { key: undefined, value: root };
    for (const segment of path) {
      const inner = this.#child(this.#targets.get(found.value) ?? found.value, segment);
      if (inner === undefined) break;
      found = inner;
    }
    return found;
  }

  #child(node: unknown, segment: string | number): { key: unknown; value: unknown } | undefined {
    if (isSeq(node)) {
      const item = typeof segment === "number" ? node.items[segment] : undefined;
      return item === undefined ? undefined : { key: undefined, value: item };
    }
    if (!isMap(node)) return undefined;
    for (const pair of node.items) {
      if (isScalar(pair.key) && (pair.key.value === segment || pair.key.source === segment)) {
        return { key: pair.key, value: pair.value };
      }
    }
    for (const pair of node.items) {
      if (!isScalar(pair.key) || pair.key.value !== "<<") continue;
      const merged = this.#targets.get(pair.value) ?? pair.value;
      const inner = this.#child(merged, segment);
      if (inner !== undefined) return inner;
    }
    return undefined;
  }
}

function isPlain(node: unknown): boolean {
  return isScalar(node) && node.type === "PLAIN";
}
