import { LateenError } from "@lateen/kernel";

/** LTN5301: `--io-backend handles` was given, and the self-test of handles fails on this node. */
export function ioUnavailable(reason: string): LateenError {
  return new LateenError({
    code: "LTN5301",
    fault: "system",
    message: `the I/O back end "handles" does not work with this Node.js: ${reason}; use "auto" or "portable"`,
  });
}
