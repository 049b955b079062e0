import { err, messageOf, ok, type Result } from "@lateen/kernel";
import {
  decodeObject,
  encodeObject,
  type Origin,
  parseResourceKey,
  type Resource,
  type ResourceKey,
  resourceKey,
} from "@lateen/mesh-model";
import type { AcceptedObject, ConfigWriter } from "@lateen/ports";
import { ConfigEntry, type WriteRequest } from "@lateen/proto/lateen/config/v1/config";

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

/** Reads an object of a change that a component asks for. */
export function fromWriteRequest(request: WriteRequest): Result<Parameters<ConfigWriter["write"]>[0], string> {
  const upserted: Resource[] = [];
  for (const bytes of request.upserted) {
    const object = objectOf(bytes, { file: "written by a component", line: 1, column: 1 });
    if (!object.ok) return object;
    upserted.push(object.value);
  }
  const removed: ResourceKey[] = [];
  for (const text of request.removed) {
    const key = parseResourceKey(text);
    if (key === undefined) return err(`"${text}" is not kind/namespace/name`);
    removed.push(resourceKey(key.kind, key.namespace, key.name));
  }
  return ok({ upserted, removed });
}

/** The reverse; fails for objects that this version cannot read, e.g. of a newer kind. */
export function fromConfigEntry(entry: ConfigEntry): Result<AcceptedObject, string> {
  const origin = { file: entry.file, line: entry.line, column: entry.column };
  const object = objectOf(entry.object, origin);
  if (!object.ok) return err(`${entry.key}: ${object.error}`);
  return ok({ object: object.value, origin, ownerFile: entry.ownerFile, revision: Number(entry.revision) });
}

/** The same for carriers of bytes. */
export const configEntryCodec = {
  encode: (key: string, accepted: AcceptedObject): Uint8Array =>
    ConfigEntry.encode(toConfigEntry(key, accepted)).finish(),
  decode(_key: string, bytes: Uint8Array): Result<AcceptedObject, string> {
    try {
      return fromConfigEntry(ConfigEntry.decode(bytes));
    } catch (error) {
      return err(messageOf(error));
    }
  },
};

function objectOf(bytes: Buffer, origin: Origin): Result<Resource, string> {
  let json: unknown;
  try {
    json = JSON.parse(bytes.toString("utf8"));
  } catch (error) {
    return err(`not JSON: ${messageOf(error)}`);
  }
  const decoded = decodeObject(json, origin);
  return decoded.ok ? ok(decoded.object) : err(decoded.diagnostics.map(({ message }) => message).join("; "));
}
