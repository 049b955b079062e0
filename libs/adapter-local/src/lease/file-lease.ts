import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { type Clock, LateenError, type Scope, sleep, systemClock } from "@lateen/kernel";
import type { HeldLease, Lease } from "@lateen/ports";
import { isMissing, replaceFile } from "../files/atomic-write.ts";
import { type FileLock, lockFile } from "../files/lock-file.ts";

export interface FileLeaseOptions {
  readonly clock?: Clock;
  /** How often a waiting process tries, and a holder checks that it still holds. Default 250. */
  readonly intervalMs?: number;
}

/**
 * Leadership among the processes of one machine: a lock file per name in `dir`, freed when its holder ends, however it ends. The
 * fencing token is in `NAME.token`: larger than the one before, and at least the time in seconds, so that it grows even when the directory
 * was lost or restored from a backup.
 */
export function fileLease(dir: string, options: FileLeaseOptions = {}): Lease {
  const clock = options.clock ?? systemClock();
  const intervalMs = options.intervalMs ?? 250;
  return {
    async acquire(scope, name) {
      await mkdir(dir, { recursive: true, mode: 0o700 });
      const lock = await waitForLock(join(dir, `${name}.lease`), scope, clock, intervalMs);
      try {
        const fencingToken = await nextToken(join(dir, `${name}.token`), clock);
        return hold(lock, fencingToken, scope, clock, intervalMs);
      } catch (error) {
        await lock.release();
        throw error;
      }
    },
  };
}

async function waitForLock(path: string, scope: Scope, clock: Clock, intervalMs: number): Promise<FileLock> {
  for (;;) {
    scope.signal.throwIfAborted();
    try {
      return await lockFile(path);
    } catch (error) {
      if (!(error instanceof LateenError && error.code === "LTN6101")) throw error;
    }
    await sleep(clock, intervalMs, scope.signal);
  }
}

function hold(lock: FileLock, fencingToken: number, scope: Scope, clock: Clock, intervalMs: number): HeldLease {
  const lost = new AbortController();
  const stop = clock.every(intervalMs, () => {
    void lock.held().then((held) => {
      if (!held) lost.abort(new Error("the lease's file was removed or replaced"));
    });
  });
  scope.defer(async () => {
    stop();
    lost.abort(new Error("the lease was given back"));
    await lock.release();
  });
  return { fencingToken, lost: lost.signal };
}

async function nextToken(path: string, clock: Clock): Promise<number> {
  let last = 0;
  try {
    last = Number(await readFile(path, "utf8"));
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
  const next = Math.max((Number.isSafeInteger(last) ? last : 0) + 1, Math.floor(clock.now() / 1000));
  await replaceFile(path, String(next), 0o600);
  return next;
}
