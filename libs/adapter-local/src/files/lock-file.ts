import { randomBytes } from "node:crypto";
import { link, readFile, rename, stat, unlink, writeFile } from "node:fs/promises";
import { lockedError } from "../errors.ts";
import { errorCode, isMissing } from "./atomic-write.ts";

/** An exclusive claim on a path, for as long as this process lives. */
export interface FileLock {
  /** Whether the claim is still ours; false when somebody removed or replaced the file. */
  held(): Promise<boolean>;
  release(): Promise<void>;
}

interface Owner {
  readonly pid: number;
  /** Tells a process from a later one with the same number; empty where the system does not say. */
  readonly started: string;
}

/**
 * Claims `path`. The file appears complete (it is linked into place), names its owner, and a claim of a process that died,
 * by kill -9 or power loss, is taken over.
 * @throws LTN6101 when a living process holds it.
 */
export async function lockFile(path: string): Promise<FileLock> {
  const mine = `${path}.${process.pid}.${randomBytes(6).toString("hex")}`;
  const owner: Owner = { pid: process.pid, started: await startOf(process.pid) };
  await writeFile(mine, JSON.stringify(owner), { mode: 0o600, flag: "wx" });
  try {
    const inode = (await stat(mine)).ino;
    for (let attempt = 0; attempt < 16; attempt++) {
      if (await tryLink(mine, path)) return heldLock(path, inode);
      const holder = await readOwner(path);
      if (holder !== undefined && (await isAlive(holder))) throw lockedError(path, holder.pid);
      await removeStale(path, holder);
    }
    throw lockedError(path, 0);
  } finally {
    await unlink(mine).catch(() => undefined);
  }
}

function heldLock(path: string, inode: number): FileLock {
  const held = async () => {
    try {
      return (await stat(path)).ino === inode;
    } catch {
      return false;
    }
  };
  return {
    held,
    async release() {
      if (await held()) await unlink(path).catch(() => undefined);
    },
  };
}

async function tryLink(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if (errorCode(error) === "EEXIST") return false;
    throw error;
  }
}

async function readOwner(path: string): Promise<Owner | undefined> {
  try {
    const value: unknown = JSON.parse(await readFile(path, "utf8"));
    if (typeof value !== "object" || value === null || !("pid" in value) || !("started" in value)) return undefined;
    const { pid, started } = value;
    return typeof pid === "number" && typeof started === "string" ? { pid, started } : undefined;
  } catch (error) {
    if (isMissing(error) || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/**
 * Takes a dead owner's file away. Two processes may do so at once: whoever moved a claim other than the one it judged dead puts
 * it back, and every holder checks {@link FileLock.held} before it writes.
 */
async function removeStale(path: string, judged: Owner | undefined): Promise<void> {
  const aside = `${path}.${process.pid}.${randomBytes(6).toString("hex")}`;
  try {
    await rename(path, aside);
  } catch (error) {
    if (isMissing(error)) return;
    throw error;
  }
  const moved = await readOwner(aside);
  if (moved !== undefined && (moved.pid !== judged?.pid || moved.started !== judged.started))
    await tryLink(aside, path);
  await unlink(aside).catch(() => undefined);
}

async function isAlive(owner: Owner): Promise<boolean> {
  try {
    process.kill(owner.pid, 0);
  } catch (error) {
    // EPERM: it is there and belongs to another user.
    if (errorCode(error) !== "EPERM") return false;
  }
  const started = await startOf(owner.pid);
  return started === "" || owner.started === "" || started === owner.started;
}

/** The kernel's start time of a process (Linux: field 22 of /proc/PID/stat), or an empty string. */
async function startOf(pid: number): Promise<string> {
  if (process.platform !== "linux") return "";
  try {
    const text = await readFile(`/proc/${pid}/stat`, "latin1");
    // The second field is the command in brackets and may hold blanks and brackets itself.
    return text.slice(text.lastIndexOf(")") + 2).split(" ")[19] ?? "";
  } catch {
    return "";
  }
}
