import { LateenError } from "@lateen/kernel";

/** LTN5001: a configuration file of the proxy cannot be used. */
export function badProxyConfig(file: string, reason: string, cause?: unknown): LateenError {
  return new LateenError({
    code: "LTN5001",
    fault: "user",
    message: `cannot use ${file}: ${reason}`,
    hint: "mend the named field and start again",
    cause,
  });
}

/** LTN5003: the admin interface was asked to listen where others can reach it. */
export function adminNotLoopback(address: string): LateenError {
  return new LateenError({
    code: "LTN5003",
    fault: "user",
    message: `admin address ${address} is not a loopback address`,
    hint: "the admin interface has no authentication; use 127.0.0.1 or another address in 127.0.0.0/8, or ::1",
  });
}

/** LTN5005: an option needs the run directory and there is none. */
export function missingRunDirectory(flag: string): LateenError {
  return new LateenError({
    code: "LTN5005",
    fault: "user",
    message: `${flag} needs a run directory with token and root certificate`,
    hint: "give one with --run-dir",
  });
}
