import { type Logger, Scope } from "@lateen/kernel";
import { formatConfig, type ReadConfig, readConfig } from "./config.ts";
import { type FlagSpecs, type Flags, type FlagValues, helpText } from "./flags.ts";
import { createLogger, type LogLevel } from "./logger.ts";
import { endWithParent } from "./parent-watch.ts";

/** Exit codes after sysexits.h: 64 usage, 70 internal error. */
export const EXIT_USAGE = 64;
export const EXIT_SOFTWARE = 70;

export interface MainContext {
  /** Closed on the first SIGTERM or SIGINT; what it disposes is the drain. */
  readonly scope: Scope;
  readonly logger: Logger;
  /** Aborts when draining starts. Same as `scope.signal`. */
  readonly signal: AbortSignal;
}

export interface RunMainOptions {
  /** Default: {@link createLogger} with level and format from LATEEN_LOG_LEVEL and LATEEN_LOG_FORMAT. */
  readonly logger?: Logger;
  /** Draining that takes longer ends with exit code 1. Default 60 000 ms. */
  readonly drainTimeoutMs?: number;
}

/**
 * Runs a long-lived program. `main` resolves once the program is up; it then runs until SIGTERM or SIGINT, when the scope is
 * closed (drain) and the process exits 0. A number returned by `main` ends the process with that code instead. A second
 * signal exits 1 at once. A failure of `main` or anything unhandled is logged and exits 70.
 */
export async function runMain(
  name: string,
  main: (context: MainContext) => Promise<unknown>,
  options: RunMainOptions = {},
): Promise<void> {
  const logger = options.logger ?? createLogger({ name, ...loggerEnvironment(process.env) });
  const scope = new Scope();
  const keepAlive = setInterval(() => {}, 0x7fffffff);
  const finish = (code: number): void => {
    clearInterval(keepAlive);
    process.exit(code);
  };
  const crash = (error: unknown): void => {
    logger.error({ event: "process.crashed", error });
    finish(EXIT_SOFTWARE);
  };
  process.on("uncaughtException", crash);
  process.on("unhandledRejection", crash);
  const drain = async (reason: string, code: number): Promise<void> => {
    logger.info({ event: "process.draining", reason });
    const late = setTimeout(() => {
      logger.error({ event: "process.drain_timed_out" });
      finish(1);
    }, options.drainTimeoutMs ?? 60_000);
    try {
      await scope.close();
      clearTimeout(late);
      logger.info({ event: "process.stopped" });
      finish(code);
    } catch (error) {
      crash(error);
    }
  };
  let draining = false;
  endWithParent(process.env);
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.on(signal, () => {
      if (draining) finish(1);
      draining = true;
      void drain(signal, 0);
    });
  }
  try {
    const code = await main({ scope, logger, signal: scope.signal });
    if (typeof code === "number" && !draining) {
      draining = true;
      await drain("finished", code);
    }
  } catch (error) {
    // A start that was interrupted by a signal fails because its scope closed; the drain decides the exit code.
    if (!draining) crash(error);
  }
}

/**
 * The options of this process, or the end of it: prints help or the effective configuration (exit 0), or what is wrong with
 * the command line (exit 64).
 * @param argv default: those of the process.
 */
export function readProcessConfig<S extends FlagSpecs>(
  flags: Flags<S>,
  argv: readonly string[] = process.argv.slice(2),
): ReadConfig<S> & { values: FlagValues<S> } {
  const config = readConfig(flags, argv, process.env);
  if (!config.ok) {
    process.stderr.write(`${config.error.map((problem) => `${flags.program}: ${problem}`).join("\n")}\n`);
    process.exit(EXIT_USAGE);
  }
  if (config.value.help) {
    process.stdout.write(helpText(flags));
    process.exit(0);
  }
  if (config.value.printConfig) {
    process.stdout.write(formatConfig(flags, config.value));
    process.exit(0);
  }
  return config.value;
}

function loggerEnvironment(env: NodeJS.ProcessEnv): { level?: LogLevel; format?: "json" | "pretty" } {
  const level = env.LATEEN_LOG_LEVEL;
  const format = env.LATEEN_LOG_FORMAT;
  return {
    ...(level === "debug" || level === "info" || level === "warn" || level === "error" || level === "silent"
      ? { level }
      : {}),
    ...(format === "json" || format === "pretty" ? { format } : {}),
  };
}
