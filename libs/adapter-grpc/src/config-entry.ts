import { err, messageOf, ok, type Result } from "@lateen/kernel";
import { decodeObject, encodeObject } from "@lateen/mesh-model";
import type { AcceptedObject } from "@lateen/ports";
import type { ConfigEntry } from "@lateen/proto/lateen/config/v1/config";

/** An accepted object as it travels: its JSON as users write it, and where it came from. */
export function toConfigEntry(key: string, accepted: AcceptedObject): ConfigEntry {
  return {
    key,
    object: Buffer.from(JSON.stringify(encodeObject(accepted.object))),
    revision: BigInt(accepted.revision),
    file: accepted.origin.file,
    line: accepted.origin.line,
    column: accepted.origin.column,
    ...(accepted.ownerFile === undefined ? {} : { ownerFile: accepted.ownerFile }),
  };
}

/** The reverse; fails for objects that this version cannot read, e.g. of a newer kind. */
export function fromConfigEntry(entry: ConfigEntry): Result<AcceptedObject, string> {
  const origin = { file: entry.file, line: entry.line, column: entry.column };
  let json: unknown;
  try {
    json = JSON.parse(entry.object.toString("utf8"));
  } catch (error) {
    return err(`${entry.key} is not JSON: ${messageOf(error)}`);
  }
  const decoded = decodeObject(json, origin);
  if (!decoded.ok) return err(`${entry.key}: ${decoded.diagnostics.map(({ message }) => message).join("; ")}`);
  return ok({ object: decoded.object, origin, ownerFile: entry.ownerFile, revision: Number(entry.revision) });
}
