import { durationToMs, type ProtoDuration } from "@lateen/proto";

/**
 * A resource that cannot be honoured. Thrown inside decoders, caught where a whole resource is decoded; its text goes into
 * the NACK, so it names the field as the proto file spells it.
 */
export class Refusal extends Error {
  /** Path of the field. */
  readonly field: string;

  constructor(field: string, reason: string) {
    super(`${field}: ${reason}`);
    this.name = "Refusal";
    this.field = field;
  }
}

export function refuse(field: string, reason: string): never {
  throw new Refusal(field, reason);
}

/** `fooBar` → `foo_bar`, as the proto file has it. */
function protoName(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

function isDefault(value: unknown): boolean {
  if (value === undefined || value === null) return true;
  if (typeof value === "object") {
    if (Array.isArray(value)) return value.length === 0;
    if (ArrayBuffer.isView(value)) return value.byteLength === 0;
    // Maps without entries and messages without fields carry nothing.
    return Object.keys(value).length === 0;
  }
  return value === "" || value === 0 || value === 0n || value === false;
}

/**
 * Refuses a message that sets anything outside `known`. Known fields are those that are honoured or that change nothing which
 * a user could observe in a request's fate (buffer sizes, statistics names).
 * @param at path of the message, empty for the resource itself.
 */
export function onlyFields<T extends object>(message: T, at: string, known: readonly (keyof T & string)[]): void {
  for (const [name, value] of Object.entries(message)) {
    if (isDefault(value) || (known as readonly string[]).includes(name)) continue;
    const oneof = typeof value === "object" && value !== null && "$case" in value ? String(value.$case) : name;
    refuse(join(at, protoName(oneof)), "not supported by this proxy");
  }
}

/** `a` + `b` → `a.b`. */
export function join(at: string, field: string): string {
  return at === "" ? field : `${at}.${field}`;
}

/** Milliseconds of an optional duration. Negative durations are refused. */
export function optionalMs(duration: ProtoDuration | undefined, at: string): number | undefined {
  if (duration === undefined) return undefined;
  const ms = durationToMs(duration);
  if (ms < 0) refuse(at, "must not be negative");
  return ms;
}

/** Milliseconds, or `fallback` when unset. */
export function millis(duration: ProtoDuration | undefined, fallback: number, at: string): number {
  return optionalMs(duration, at) ?? fallback;
}

/** A port number from 0 to 65535. */
export function portNumber(value: number, at: string): number {
  if (!Number.isInteger(value) || value < 0 || value > 65_535) refuse(at, `${value} is not a port number`);
  return value;
}
