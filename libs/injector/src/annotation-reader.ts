import { valueFromText } from "@lateen/mesh-model";
import { isObject, type JsonObject, objectsOf, textOf } from "./json.ts";

/** Reads annotations of one pod and collects what is wrong with them, with the annotation's name and the reason. */
export class AnnotationReader {
  readonly problems: string[] = [];
  readonly #annotations: Readonly<Record<string, string>>;

  constructor(annotations: Readonly<Record<string, string>>) {
    this.#annotations = annotations;
  }

  /** Undefined when it is not there; an empty one counts as not there. */
  text(name: string): string | undefined {
    const value = Object.hasOwn(this.#annotations, name) ? this.#annotations[name]?.trim() : undefined;
    return value === "" ? undefined : value;
  }

  refuse(name: string, reason: string): undefined {
    const value = (this.text(name) ?? "").slice(0, 100);
    this.problems.push(`annotation ${name}: "${value}" ${reason}`);
    return undefined;
  }

  matching(name: string, pattern: RegExp, what: string): string | undefined {
    const text = this.text(name);
    if (text === undefined || (text.length <= MAX_LENGTH && pattern.test(text))) return text;
    return this.refuse(name, `is not ${what}`);
  }

  boolean(name: string): boolean | undefined {
    const text = this.text(name)?.toLowerCase();
    if (text === undefined) return undefined;
    if (text === "true" || text === "1") return true;
    if (text === "false" || text === "0") return false;
    return this.refuse(name, "is neither true nor false");
  }

  integer(name: string, max: number): number | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    if (/^\d{1,9}$/.test(text) && Number(text) <= max) return Number(text);
    return this.refuse(name, `is not a number from 0 to ${max}`);
  }

  choice<T extends string>(name: string, choices: readonly T[]): T | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    return choices.find((choice) => choice === text) ?? this.refuse(name, `is not one of ${choices.join(", ")}`);
  }

  /** A Kubernetes quantity such as `100m` or `1.5Gi`. */
  quantity(name: string): string | undefined {
    return this.matching(name, QUANTITY, "a quantity such as 100m or 128Mi");
  }

  /** A YAML or JSON map. */
  map(name: string): JsonObject | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const read = valueFromText(text, name);
    if (!read.ok) return this.refuse(name, `cannot be read: ${read.error[0]?.message ?? "no YAML"}`);
    return isObject(read.value.value) ? read.value.value : this.refuse(name, "is not a map");
  }

  /** JSON of things with a name: a list of them, or a map by name. */
  named(name: string): readonly JsonObject[] | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      return this.refuse(name, "is not JSON");
    }
    const items = Array.isArray(value)
      ? value
      : isObject(value)
        ? Object.entries(value).map(([key, inner]) => (isObject(inner) ? { name: key, ...inner } : inner))
        : undefined;
    if (items === undefined) return this.refuse(name, "is neither a list nor a map by name");
    const named = objectsOf(items).filter((item) => textOf(item.name) !== undefined);
    return named.length === items.length ? named : this.refuse(name, "has an item without a name");
  }
}

const MAX_LENGTH = 4096;
const QUANTITY = /^[+]?(\d+(\.\d*)?|\.\d+)(([numkMGTPE]|[KMGTPE]i)?|[eE][-+]?\d{1,3})$/;
