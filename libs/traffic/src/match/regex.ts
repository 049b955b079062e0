import { err, messageOf, ok, type Result } from "@lateen/kernel";
import { RE2JS } from "re2js";
import { badRegex } from "../errors.ts";

/** Longest pattern and largest compiled program that are accepted; RE2 is linear in both, so they bound the cost of a match. */
const MAX_PATTERN_LENGTH = 8192;
const MAX_PROGRAM_SIZE = 20_000;

/** A compiled user expression. Never backtracks. */
export type Regex = RE2JS;

/** Compiles RE2 syntax, or says why it cannot be used. */
export function parseRegex(pattern: string): Result<Regex, string> {
  if (pattern.length > MAX_PATTERN_LENGTH) return err(`longer than ${MAX_PATTERN_LENGTH} characters`);
  try {
    const regex = RE2JS.compile(pattern);
    return regex.programSize() > MAX_PROGRAM_SIZE ? err("too large once compiled") : ok(regex);
  } catch (error) {
    return err(messageOf(error));
  }
}

/** @throws LateenError LTN5901 when RE2 does not accept the pattern. */
export function compileRegex(pattern: string): Regex {
  const regex = parseRegex(pattern);
  if (!regex.ok) throw badRegex(pattern, regex.error);
  return regex.value;
}

/**
 * RE2's GlobalReplace: every match that does not touch the one before is replaced; `\0`…`\9` are groups, `\\` a backslash.
 * @see envoy.type.matcher.v3.RegexMatchAndSubstitute
 */
export function replaceAll(regex: Regex, text: string, substitution: string): string {
  const matcher = regex.matcher(text);
  let out = "";
  let at = 0;
  let previousEnd = -1;
  while (matcher.find()) {
    const start = matcher.start();
    const end = matcher.end();
    if (start === end && start === previousEnd) continue;
    out += text.slice(at, start) + expand(substitution, (group) => groupText(matcher, group));
    at = end;
    previousEnd = end;
  }
  return out + text.slice(at);
}

function groupText(matcher: ReturnType<Regex["matcher"]>, group: number): string {
  return group <= matcher.groupCount() ? (matcher.group(group) ?? "") : "";
}

function expand(substitution: string, group: (index: number) => string): string {
  return substitution.replace(/\\(\\|\d)/g, (_, what: string) => (what === "\\" ? "\\" : group(Number(what))));
}
