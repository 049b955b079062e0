import type { Path } from "../decode/types.ts";
import { codes } from "../errors.ts";

/** A finding before its place in a file is known. */
export interface Finding {
  readonly level: "error" | "warning";
  readonly code: string;
  readonly path: Path;
  /** Report where the field's name stands instead of its value. */
  readonly part: "key" | "value";
  readonly message: string;
  readonly hint?: string;
}

export interface FindingOptions {
  readonly hint?: string | undefined;
  readonly code?: string;
  readonly part?: "key" | "value";
}

/** Collects findings about one object; a Check made by {@link at} reports below its path. */
export class Check {
  readonly #findings: Finding[];
  readonly path: Path;

  constructor(findings: Finding[] = [], path: Path = []) {
    this.#findings = findings;
    this.path = path;
  }

  get findings(): readonly Finding[] {
    return this.#findings;
  }

  at(...segments: Path): Check {
    return new Check(this.#findings, [...this.path, ...segments]);
  }

  error(message: string, options: FindingOptions = {}): void {
    this.#report("error", codes.badValue, message, options);
  }

  warn(message: string, options: FindingOptions = {}): void {
    this.#report("warning", codes.suspicious, message, options);
  }

  #report(level: "error" | "warning", code: string, message: string, options: FindingOptions): void {
    this.#findings.push({
      level,
      code: options.code ?? code,
      path: this.path,
      part: options.part ?? "value",
      message: shorten(message),
      ...(options.hint === undefined ? {} : { hint: shorten(options.hint) }),
    });
  }
}

/** Messages quote what the user wrote, which may be megabytes. */
const LONGEST = 500;

function shorten(text: string): string {
  return text.length <= LONGEST ? text : `${text.slice(0, LONGEST - 100)}…${text.slice(-80)}`;
}
