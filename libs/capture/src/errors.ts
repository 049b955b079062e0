import { LateenError } from "@lateen/kernel";

/** LTN6601: the kernel does not give original destinations. */
export function noOriginalDestination(cause: unknown): LateenError {
  return new LateenError({
    code: "LTN6601",
    fault: "system",
    message: `the original destination of connections cannot be asked for: ${text(cause)}`,
    hint: "capture by redirection needs Linux and the package koffi",
    cause,
  });
}

/** LTN6602: iptables refused the rules. */
export function rulesRefused(program: string, reason: string): LateenError {
  return new LateenError({
    code: "LTN6602",
    fault: "system",
    message: `${program} refused the capture rules: ${reason}`,
    hint: "it needs root (CAP_NET_ADMIN) and a kernel with the modules nat, REDIRECT, owner and multiport",
  });
}

function text(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
