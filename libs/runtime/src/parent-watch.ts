import { Socket } from "node:net";

/**
 * Ends this process in order when its supervisor is gone. The supervisor names, in LATEEN_PARENT_FD, a descriptor on which it holds the
 * other end of a pipe; whatever ends the supervisor closes it. Without the variable nothing is watched.
 */
export function endWithParent(env: Readonly<Record<string, string | undefined>>): void {
  const fd = Number(env.LATEEN_PARENT_FD ?? "");
  if (!Number.isInteger(fd) || fd < 3) return;
  const pipe = new Socket({ fd, readable: true, writable: false });
  pipe.on("error", () => {});
  pipe.once("close", () => {
    process.kill(process.pid, "SIGTERM");
    // Nobody waits for a drain any more; it must not hold ports that the next supervisor wants.
    setTimeout(() => process.exit(1), 3_000);
  });
  pipe.resume();
  pipe.unref();
}
