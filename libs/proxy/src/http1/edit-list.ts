import type { LineBuffer } from "../access-log/line-buffer.ts";
import type { HeadEdits } from "../chain/spi.ts";
import type { Connection } from "../io/connection.ts";
import { AUTHORITY, TARGET, TOKEN, VALUE } from "./chars.ts";
import type { Http1Head } from "./head.ts";
import type { HeaderName } from "./header-name.ts";
import { KNOWN_NAMES } from "./known-headers.ts";

/** Stands for an empty list until the first addition. Never written to. */
const NONE: string[] = [];
/** Room for the usual additions, a name and a value each: a list that grows by itself takes far more. */
const someRoom = (): string[] => ["", "", "", "", "", "", "", ""];

/**
 * Edits of one head, recorded by filters and routes and applied when the head is written: existing headers are marked dropped at
 * once, new lines are kept as text. Values that would break a header line are refused silently, names that are not tokens too.
 */
export class EditList implements HeadEdits {
  /** Names of new headers, each with its value behind it, latin1. */
  #lines: string[] = NONE;
  #count = 0;
  #head: Http1Head | undefined;

  constructor(head?: Http1Head) {
    this.#head = head;
  }

  /** Points the list at another head; earlier additions stay. */
  attach(head: Http1Head): void {
    this.#head = head;
    for (let i = 0; i < this.#count; i++) head.dropText(this.nameAt(i));
  }

  get isEmpty(): boolean {
    return this.#count === 0;
  }

  set(name: string, value: string): void {
    if (this.#pseudo(name, value) || !writable(name, value)) return;
    this.remove(name);
    this.add(name, value);
  }

  /** As {@link set}, for a header of KNOWN_NAMES that is no part of framing and a value known to be sound. */
  setKnown(known: number, value: string): void {
    const name = KNOWN_NAMES[known] as string;
    this.#head?.dropKnown(known);
    this.#forget(name);
    this.add(name, value);
  }

  publish(name: string, value: string): boolean {
    if (name.startsWith(":") || !writable(name, value)) return true;
    this.set(name, value);
    return this.#head?.addReadable(name, value) ?? true;
  }

  append(name: string, value: string): void {
    if (this.#pseudo(name, value) || !writable(name, value)) return;
    this.add(name, value);
  }

  /** Adds a line whose name and value are known to be sound and whose name is not in the head. */
  add(name: string, value: string): void {
    if (this.#lines === NONE) this.#lines = someRoom();
    const at = 2 * this.#count++;
    this.#lines[at] = name;
    this.#lines[at + 1] = value;
  }

  remove(name: string): void {
    if (name.startsWith(":") || name === "host" || FRAMING.has(name)) return;
    this.#head?.dropText(name);
    this.#forget(name);
  }

  #forget(name: string): void {
    for (let i = this.#count - 1; i >= 0; i--) {
      if (this.nameAt(i) !== name) continue;
      this.#lines.splice(2 * i, 2);
      this.#count--;
    }
  }

  path(value: string): void {
    if (value.startsWith("/") && sound(value, TARGET)) this.#head?.replacePath(value);
  }

  authority(value: string): void {
    if (value !== "" && sound(value, AUTHORITY)) this.#head?.replaceAuthority(value);
  }

  /** Value of a header as it will be sent: an edit wins over what arrived. */
  textOf(name: string): string | undefined {
    for (let i = this.#count - 1; i >= 0; i--) if (this.nameAt(i) === name) return this.valueAt(i);
    return this.#head?.textOf(name);
  }

  /** Writes the value that {@link textOf} would answer; false: there is none. */
  putValue(name: HeaderName, out: LineBuffer): boolean {
    for (let i = this.#count - 1; i >= 0; i--) {
      if (this.nameAt(i) !== name.name) continue;
      out.text(this.valueAt(i));
      return true;
    }
    const head = this.#head;
    if (head === undefined) return false;
    const index = name.known >= 0 ? (head.known[name.known] as number) : head.nextText(name.name, name.hash, 0);
    if (index < 0) return false;
    out.raw(head.bytes, head.offsets[index * 4 + 2] as number, head.offsets[index * 4 + 3] as number);
    return true;
  }

  /** Writes the additions as header lines to a connection. */
  write(connection: Connection): void {
    if (this.isEmpty || connection.closed || connection.finished) return;
    const { out } = connection.io;
    for (let i = 0; i < this.#count; i++) {
      const name = this.nameAt(i);
      const value = this.valueAt(i);
      out.reserve(connection, name.length + value.length + 4);
      out.put(name);
      out.put(": ");
      out.put(value);
      out.put("\r\n");
    }
  }

  get count(): number {
    return this.#count;
  }

  /** Name and value of the addition number `index`. */
  nameAt(index: number): string {
    return this.#lines[2 * index] as string;
  }

  valueAt(index: number): string {
    return this.#lines[2 * index + 1] as string;
  }

  /** The additions as header lines. */
  lines(): string {
    let text = "";
    for (let i = 0; i < this.#count; i++) text += `${this.nameAt(i)}: ${this.valueAt(i)}\r\n`;
    return text;
  }

  #pseudo(name: string, value: string): boolean {
    if (name === ":path") this.path(value);
    else if (name === ":authority" || name === "host") this.authority(value);
    else return name.startsWith(":");
    return true;
  }
}

const FRAMING = new Set(["connection", "content-length", "transfer-encoding", "keep-alive", "upgrade", "te"]);

function writable(name: string, value: string): boolean {
  return name !== "" && !FRAMING.has(name) && sound(name, TOKEN) && sound(value, VALUE);
}

function sound(text: string, table: Uint8Array): boolean {
  for (let i = 0; i < text.length; i++) if ((table[text.charCodeAt(i)] ?? 0) === 0) return false;
  return true;
}
