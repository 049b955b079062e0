import { LateenError } from "@lateen/kernel";

/** LTN6101: another process holds the directory. */
export function lockedError(path: string, pid: number): LateenError {
  return new LateenError({
    code: "LTN6101",
    fault: "user",
    message: `${path} is in use by process ${pid}`,
    hint: "stop that process, or use another state directory",
    detail: { path, pid },
    retryable: true,
  });
}

/** LTN6102: stored configuration does not read as it was written. */
export function corruptStoreError(path: string, offset: number, reason: string): LateenError {
  return new LateenError({
    code: "LTN6102",
    fault: "system",
    message: `${path} is damaged at byte ${offset}: ${reason}`,
    hint: `restore the directory from a backup, or move ${path} away to start from the configuration files alone`,
    detail: { path, offset },
  });
}

/** LTN6103: a change could not be made durable; it is not in force. */
export function storeWriteError(path: string, cause: unknown, retryable: boolean): LateenError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new LateenError({
    code: "LTN6103",
    fault: "system",
    message: `cannot write ${path}: ${reason}`,
    hint: retryable ? "free disk space; the change can be tried again" : "the store must be opened anew",
    detail: { path },
    retryable,
    cause,
  });
}

/** LTN6104: used after close. */
export function closedStoreError(path: string): LateenError {
  return new LateenError({
    code: "LTN6104",
    fault: "system",
    message: `the store ${path} is not open`,
    detail: { path },
  });
}

/** LTN6105: the store was written by a newer release. */
export function storeFormatError(path: string, format: unknown): LateenError {
  return new LateenError({
    code: "LTN6105",
    fault: "user",
    message: `${path} has format ${String(format)}, which this release does not know`,
    hint: "use the release that wrote it",
    detail: { path },
  });
}

/** LTN6106: the CA's files do not belong together. */
export function caMaterialError(dir: string, reason: string): LateenError {
  return new LateenError({
    code: "LTN6106",
    fault: "user",
    message: `the CA in ${dir} cannot be used: ${reason}`,
    hint: "ca-cert.pem, ca-key.pem and root-cert.pem must all be there and belong together; remove all of them to start with a new CA",
    detail: { dir },
  });
}

/** LTN6107: the memory that quotas may take is used up. */
export function quotaStoreFull(entries: number): LateenError {
  return new LateenError({
    code: "LTN6107",
    fault: "system",
    message: `${entries} quotas are being counted, which is as many as may be`,
    hint: "limit by what has fewer values, or count in Redis",
    detail: { entries },
    retryable: true,
  });
}
