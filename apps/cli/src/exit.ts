import { LateenError } from "@lateen/kernel";

/** Exit codes of every command, after sysexits.h; 79 is istioctl's for findings of the analyzer. */
export const exitCodes = {
  ok: 0,
  usage: 64,
  badInput: 65,
  unavailable: 69,
  internal: 70,
  findings: 79,
} as const;
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/** Ends the command with a code; everything there is to say has been said. */
export class Exit extends Error {
  readonly code: number;

  constructor(code: number) {
    super(`exit ${code}`);
    this.code = code;
  }
}

/** Errors of users that are about the machine or the mesh rather than about what they wrote. */
const UNAVAILABLE = new Set([
  "LTN7001",
  "LTN7002",
  "LTN7003",
  "LTN7004",
  "LTN7005",
  "LTN7006",
  "LTN7016",
  "LTN7013",
  "LTN7502",
  "LTN7503",
  "LTN7509",
]);

/** The exit code that an error of a command stands for. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof Exit) return error.code;
  if (!(error instanceof LateenError)) return exitCodes.internal;
  if (error.code === "LTN7501") return exitCodes.usage;
  if (UNAVAILABLE.has(error.code) || error.retryable) return exitCodes.unavailable;
  return error.fault === "user" ? exitCodes.badInput : exitCodes.unavailable;
}
