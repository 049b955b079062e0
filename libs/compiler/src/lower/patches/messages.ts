import {
  type DescField,
  type DescMessage,
  type FileRegistry,
  fromBinary,
  fromJson,
  isFieldSet,
  type Message,
  toBinary,
  toJson,
} from "@bufbuild/protobuf";
import { err, messageOf, ok, type Result } from "@lateen/kernel";

/** A message of a type that is known at run time only. Fields have their names in lower camel case. */
export type DynamicMessage = Message & Record<string, unknown>;

/** What a merge does with lists. */
export type ListMerge = "append" | "replace";

const ANY = "google.protobuf.Any";
const URL_PREFIX = "type.googleapis.com/";

/** Reads, writes and merges messages of any type of Envoy. */
export class EnvoyMessages {
  readonly #registry: FileRegistry;

  constructor(registry: FileRegistry) {
    this.#registry = registry;
  }

  /** The description of a message, or undefined when there is no such type. */
  find(name: string): DescMessage | undefined {
    return this.#registry.getMessage(name);
  }

  /** @throws when there is no such type. */
  type(name: string): DescMessage {
    const found = this.#registry.getMessage(name);
    if (found === undefined) throw new Error(`there is no message ${name}`);
    return found;
  }

  decode(name: string, bytes: Uint8Array): DynamicMessage {
    return fromBinary(this.type(name), bytes) as DynamicMessage;
  }

  encode(message: DynamicMessage): Buffer {
    return Buffer.from(toBinary(this.type(message.$typeName), message));
  }

  /** Reads proto JSON, field names in either style. */
  parse(name: string, json: unknown): Result<DynamicMessage, string> {
    try {
      return ok(fromJson(this.type(name), json as never, { registry: this.#registry }) as DynamicMessage);
    } catch (error) {
      return err(messageOf(error));
    }
  }

  /** Proto JSON with field names as the API has them. @throws for a packed message of a type that is not known. */
  print(message: DynamicMessage): unknown {
    return toJson(this.type(message.$typeName), message, { registry: this.#registry, useProtoFieldName: true });
  }

  /** The message in an Any, or undefined when its type is not known. */
  unpack(any: DynamicMessage): DynamicMessage | undefined {
    const { typeUrl, value } = any as unknown as { readonly typeUrl: string; readonly value: Uint8Array };
    const type = this.#registry.getMessage(messageName(typeUrl));
    return type === undefined ? undefined : (fromBinary(type, value) as DynamicMessage);
  }

  /** Puts a message into an Any. */
  pack(any: DynamicMessage, message: DynamicMessage): void {
    any.typeUrl = `${URL_PREFIX}${message.$typeName}`;
    any.value = this.encode(message);
  }

  /** A copy that shares nothing with the message. */
  copy(message: DynamicMessage): DynamicMessage {
    return this.decode(message.$typeName, this.encode(message));
  }

  /**
   * Proto merge into `target`, as Istio does it: lists are appended to (or replaced), durations replaced, and of two packed messages of
   * one type the contents are merged. `source` must not be used afterwards: parts of it are in `target` now.
   */
  merge(target: DynamicMessage, source: DynamicMessage, lists: ListMerge = "append"): void {
    if (target.$typeName === ANY) this.#mergeAny(target, source, lists);
    else if (target.$typeName === "google.protobuf.Duration") {
      target.seconds = source.seconds;
      target.nanos = source.nanos;
    } else {
      for (const member of this.type(target.$typeName).members) {
        if (member.kind === "oneof") this.#mergeOneof(member.localName, target, source, lists);
        else this.#mergeField(member, target, source, lists);
      }
    }
  }

  #mergeAny(target: DynamicMessage, source: DynamicMessage, lists: ListMerge): void {
    const before = target.typeUrl === source.typeUrl ? this.unpack(target) : undefined;
    const after = before === undefined ? undefined : this.unpack(source);
    if (before === undefined || after === undefined) {
      target.typeUrl = source.typeUrl;
      target.value = source.value;
      return;
    }
    this.merge(before, after, lists);
    this.pack(target, before);
  }

  #mergeOneof(name: string, target: DynamicMessage, source: DynamicMessage, lists: ListMerge): void {
    const next = source[name] as { readonly case: string | undefined; readonly value?: unknown };
    if (next.case === undefined) return;
    const before = target[name] as { readonly case: string | undefined; readonly value?: unknown };
    if (before.case === next.case && isMessage(before.value) && isMessage(next.value)) {
      this.merge(before.value, next.value, lists);
    } else target[name] = { ...next };
  }

  #mergeField(field: DescField, target: DynamicMessage, source: DynamicMessage, lists: ListMerge): void {
    if (!isFieldSet(source, field)) return;
    const name = field.localName;
    const next = source[name];
    switch (field.fieldKind) {
      case "list":
        if (lists === "append") (target[name] as unknown[]).push(...(next as readonly unknown[]));
        else target[name] = next;
        return;
      case "map": {
        const map = target[name] as Record<string, unknown>;
        for (const [key, value] of Object.entries(next as Record<string, unknown>)) {
          const before = map[key];
          // Proto replaces entries; two packed messages of one type are options of one extension, and are joined.
          if (isMessage(before) && isMessage(value) && value.$typeName === ANY) this.merge(before, value, lists);
          else map[key] = value;
        }
        return;
      }
      default: {
        const before = target[name];
        if (isMessage(before) && isMessage(next)) this.merge(before, next, lists);
        else target[name] = next;
      }
    }
  }
}

/** Wrapped numbers and structs are plain values. */
export function isMessage(value: unknown): value is DynamicMessage {
  return typeof value === "object" && value !== null && "$typeName" in value;
}

/** `type.googleapis.com/a.b.C` → `a.b.C`. */
export function messageName(typeUrl: string): string {
  return typeUrl.slice(typeUrl.lastIndexOf("/") + 1);
}

/** A oneof of a message: which field is set, and to what. */
export function oneof(
  message: DynamicMessage | undefined,
  name: string,
): { readonly case?: string; readonly value?: unknown } {
  return (message?.[name] as { readonly case?: string; readonly value?: unknown } | undefined) ?? {};
}

/** The packed configuration of a filter or transport socket; undefined when it has none, or one from elsewhere. */
export function typedConfigOf(message: DynamicMessage | undefined): DynamicMessage | undefined {
  const { case: kind, value } = oneof(message, "configType");
  return kind === "typedConfig" && isMessage(value) ? value : undefined;
}
