import { messageOf } from "@lateen/kernel";
import { ioUnavailable } from "./errors.ts";
import type { HandleParts } from "./handle-transport.ts";
import { probeHandles } from "./probe-handles.ts";

/** How a worker reads and writes: `portable` by the public API of node's sockets, `handles` by the stream handles below them. */
export type IoBackend =
  | { readonly kind: "portable"; readonly reason: string }
  | { readonly kind: "handles"; readonly parts: HandleParts };

/** What is asked for: `auto` takes the handles where their self-test passes. */
export const IO_CHOICES = ["auto", "portable", "handles"] as const;
export type IoChoice = (typeof IO_CHOICES)[number];

export const PORTABLE: IoBackend = { kind: "portable", reason: "asked for" };

/**
 * Chooses the back end, which for handles means to try them out first.
 * @throws LateenError LTN5301 when handles are demanded and their self-test fails.
 */
export async function chooseBackend(choice: IoChoice, probe = probeHandles): Promise<IoBackend> {
  if (choice === "portable") return PORTABLE;
  try {
    return { kind: "handles", parts: await probe() };
  } catch (error) {
    const reason = messageOf(error);
    if (choice === "handles") throw ioUnavailable(reason);
    return { kind: "portable", reason };
  }
}
