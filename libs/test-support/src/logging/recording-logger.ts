import type { LogFields, Logger } from "@lateen/kernel";

export interface LogLine extends LogFields {
  readonly level: "debug" | "info" | "warn" | "error";
}

/** A logger that keeps its lines, those of its children with their fields included. */
export interface RecordingLogger extends Logger {
  readonly lines: readonly LogLine[];
  /** Lines of one event. */
  of(event: string): readonly LogLine[];
}

export function recordingLogger(): RecordingLogger {
  const lines: LogLine[] = [];
  return { ...loggerInto(lines, {}), lines, of: (event) => lines.filter((line) => line.event === event) };
}

function loggerInto(lines: LogLine[], fixed: Readonly<Record<string, unknown>>): Logger {
  const at = (level: LogLine["level"]) => (fields: LogFields) => {
    lines.push({ ...fixed, ...fields, level });
  };
  return {
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    child: (fields) => loggerInto(lines, { ...fixed, ...fields }),
  };
}
