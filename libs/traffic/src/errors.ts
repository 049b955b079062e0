import { LateenError } from "@lateen/kernel";

/** A pattern that RE2 does not accept, or that is too large. */
export function badRegex(pattern: string, reason: string): LateenError {
  return new LateenError({
    code: "LTN5901",
    fault: "user",
    message: `"${pattern.slice(0, 200)}" is not a usable RE2 expression: ${reason}`,
    hint: "look-around and back-references are not available in RE2",
  });
}

/** An address range that cannot be read. */
export function badCidr(text: string): LateenError {
  return new LateenError({
    code: "LTN5902",
    fault: "user",
    message: `"${text}" is not an address range such as 10.0.0.0/8 or fd00::/8`,
  });
}

/** A head that no codec would let through. */
export function badHead(reason: string): LateenError {
  return new LateenError({ code: "LTN5903", fault: "user", message: `not a usable request head: ${reason}` });
}
