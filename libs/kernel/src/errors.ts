/** Who has to act: the user who wrote the input, the peer that sent it, or we. */
export type Fault = "user" | "peer" | "system";

/** Stable error code: `LTN` and four digits. Codes retire, they are never reused. Ranges: docs/errors.md. */
export type ErrorCode = `LTN${number}`;

export interface LateenErrorOptions {
  readonly code: ErrorCode;
  readonly fault: Fault;
  /** What happened and to which object; lower case, no full stop. */
  readonly message: string;
  /** One action that mends it. */
  readonly hint?: string;
  readonly detail?: Readonly<Record<string, unknown>>;
  readonly retryable?: boolean;
  readonly cause?: unknown;
}

/** The one error class that effectful code throws. Never matched on by its text. */
export class LateenError extends Error {
  readonly code: ErrorCode;
  readonly fault: Fault;
  readonly hint: string | undefined;
  readonly detail: Readonly<Record<string, unknown>>;
  readonly retryable: boolean;

  constructor(options: LateenErrorOptions) {
    super(options.message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "LateenError";
    this.code = options.code;
    this.fault = options.fault;
    this.hint = options.hint;
    this.detail = options.detail ?? {};
    this.retryable = options.retryable ?? false;
  }

  /** `message. hint (CODE)`, for terminals and logs. */
  describe(): string {
    return `${this.message}${this.hint ? `. ${this.hint}` : ""} (${this.code})`;
  }
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  if (error instanceof LateenError) return error.describe();
  return error instanceof Error ? error.message : String(error);
}
