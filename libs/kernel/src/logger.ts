/** Structured fields of a log line; `event` is a constant dotted name such as `push.sent`. */
export interface LogFields {
  readonly event: string;
  readonly [field: string]: unknown;
}

/** What code may ask of a logger. pino implements it (libs/runtime); tests pass {@link silentLogger} or a recorder. */
export interface Logger {
  debug(fields: LogFields): void;
  info(fields: LogFields): void;
  warn(fields: LogFields): void;
  error(fields: LogFields): void;
  /** A logger that adds these fields to every line. */
  child(fields: Readonly<Record<string, unknown>>): Logger;
}

/** Discards everything. */
export const silentLogger: Logger = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  child: () => silentLogger,
};
