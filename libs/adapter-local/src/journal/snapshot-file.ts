import { readFile } from "node:fs/promises";
import { crc32 } from "node:zlib";
import { corruptStoreError, storeFormatError } from "../errors.ts";
import { isMissing, replaceFile } from "../files/atomic-write.ts";
import { emptyContent, type StoredChange, type StoredContent } from "./stored-form.ts";

const FORMAT = 1;

/** A snapshot and the number of the journal that continues it. */
export interface LoadedSnapshot {
  readonly generation: number;
  readonly content: StoredContent;
  readonly bytes: number;
}

/** Writes `{"format","generation","crc32"}`, a newline, and the content as JSON; atomically and durably. Returns the bytes written. */
export async function writeSnapshot(path: string, generation: number, content: StoredContent): Promise<number> {
  const body = Buffer.from(
    JSON.stringify({
      revision: content.revision,
      upserted: [...content.objects.values()],
      removed: [],
      rejected: content.rejected,
      overrides: content.overrides,
    } satisfies StoredChange),
  );
  const head = Buffer.from(`${JSON.stringify({ format: FORMAT, generation, crc32: crc32(body) })}\n`);
  await replaceFile(path, Buffer.concat([head, body]), 0o600);
  return head.length + body.length;
}

/**
 * @returns an empty snapshot of generation 0 when there is none.
 * @throws LTN6102 when it is damaged, LTN6105 when another release wrote it.
 */
export async function readSnapshot(path: string): Promise<LoadedSnapshot> {
  let file: Buffer;
  try {
    file = await readFile(path);
  } catch (error) {
    if (isMissing(error)) return { generation: 0, content: emptyContent(), bytes: 0 };
    throw error;
  }
  const newline = file.indexOf(0x0a);
  const head = parseHead(path, file.subarray(0, Math.max(newline, 0)).toString());
  const body = file.subarray(newline + 1);
  if (crc32(body) !== head.crc32) throw corruptStoreError(path, newline + 1, "the content does not match its checksum");
  // The checksum proves that these are the bytes writeSnapshot made.
  const stored = JSON.parse(body.toString()) as Required<StoredChange>;
  const content: StoredContent = {
    revision: stored.revision,
    objects: new Map(stored.upserted.map((object) => [object.key, object])),
    rejected: stored.rejected,
    overrides: stored.overrides,
  };
  return { generation: head.generation, content, bytes: file.length };
}

function parseHead(path: string, text: string): { readonly generation: number; readonly crc32: number } {
  let head: unknown;
  try {
    head = JSON.parse(text);
  } catch {
    throw corruptStoreError(path, 0, "the first line is not readable");
  }
  if (typeof head !== "object" || head === null || !("format" in head)) {
    throw corruptStoreError(path, 0, "the first line is not readable");
  }
  if (head.format !== FORMAT) throw storeFormatError(path, head.format);
  if (!("generation" in head && "crc32" in head)) throw corruptStoreError(path, 0, "the first line is not complete");
  if (typeof head.generation !== "number" || typeof head.crc32 !== "number") {
    throw corruptStoreError(path, 0, "the first line is not complete");
  }
  return { generation: head.generation, crc32: head.crc32 };
}
