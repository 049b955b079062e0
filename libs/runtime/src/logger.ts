import { LateenError, type LogFields, type Logger } from "@lateen/kernel";
import { type DestinationStream, type Logger as PinoLogger, pino } from "pino";
import { formatPretty } from "./pretty.ts";

export type LogLevel = "debug" | "info" | "warn" | "error" | "silent";

export interface LoggerOptions {
  /** Name of the program; field `name` of every line. */
  readonly name: string;
  /** Least severe level that is written; default `info`. */
  readonly level?: LogLevel;
  /** `auto` (default): human-readable on a terminal, JSON lines otherwise. */
  readonly format?: "json" | "pretty" | "auto";
  /** Where whole lines go; default stderr (stdout belongs to data such as access logs). */
  readonly write?: (line: string) => void;
}

/** Most bytes that may wait for a slow stderr; what exceeds it is dropped rather than blocking or growing. */
const MAX_PENDING_BYTES = 4 * 1024 * 1024;

const SECRET_FIELDS = ["token", "keyPem", "privateKeyPem", "privatePem", "authorization", "password"];

/** A logger whose level can be changed while the program runs. */
export interface AdjustableLogger {
  readonly logger: Logger;
  /** Applies to the logger and all its children from now on. */
  setLevel(level: LogLevel): void;
}

/** Like {@link createLogger}; its level can be changed later. */
export function createAdjustableLogger(options: LoggerOptions): AdjustableLogger {
  let threshold = RANK[options.level ?? "info"];
  const all = createLogger({ ...options, level: "debug" });
  const gate = (logger: Logger): Logger => ({
    debug: (fields) => threshold <= RANK.debug && logger.debug(fields),
    info: (fields) => threshold <= RANK.info && logger.info(fields),
    warn: (fields) => threshold <= RANK.warn && logger.warn(fields),
    error: (fields) => threshold <= RANK.error && logger.error(fields),
    child: (fields) => gate(logger.child(fields)),
  });
  return {
    logger: gate(all),
    setLevel: (level) => {
      threshold = RANK[level];
    },
  };
}

const RANK: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3, silent: 4 };

/** The process's logger: pino behind the kernel's {@link Logger}. Secret-looking fields are redacted up to one level deep. */
export function createLogger(options: LoggerOptions): Logger {
  const pretty = options.format === "pretty" || (options.format !== "json" && process.stderr.isTTY === true);
  const target = destination(options.write, pretty);
  const root = pino(
    {
      level: options.level ?? "info",
      base: { name: options.name },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { error: describeError, err: describeError },
      redact: { paths: SECRET_FIELDS.flatMap((field) => [field, `*.${field}`]), censor: "[redacted]" },
    },
    target,
  );
  return wrap(root);
}

function destination(write: ((line: string) => void) | undefined, pretty: boolean): DestinationStream {
  if (write === undefined && !pretty) return pino.destination({ dest: 2, sync: false, maxLength: MAX_PENDING_BYTES });
  const sink = write ?? ((line: string) => void process.stderr.write(line));
  return { write: (line: string) => sink(pretty ? formatPretty(line) : line) };
}

function wrap(logger: PinoLogger): Logger {
  return {
    debug: (fields: LogFields) => logger.debug(fields),
    info: (fields: LogFields) => logger.info(fields),
    warn: (fields: LogFields) => logger.warn(fields),
    error: (fields: LogFields) => logger.error(fields),
    child: (fields) => wrap(logger.child({ ...fields })),
  };
}

function describeError(error: unknown): unknown {
  if (error instanceof LateenError) {
    return { code: error.code, message: error.message, hint: error.hint, cause: describeCause(error.cause) };
  }
  if (error instanceof Error) return { message: error.message, stack: error.stack, cause: describeCause(error.cause) };
  return error;
}

function describeCause(cause: unknown): string | undefined {
  if (cause === undefined) return undefined;
  return cause instanceof Error ? cause.message : String(cause);
}
