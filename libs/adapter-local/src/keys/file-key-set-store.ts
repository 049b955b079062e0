import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import type { KeySetStore } from "@lateen/ports";
import { isMissing, replaceFile } from "../files/atomic-write.ts";

/** One key set is a small document; what is larger is none of ours. */
const MAX_BYTES = 1_048_576;

/**
 * Key sets of token issuers in a directory (0700), one file (0600) each, named by a hash of its URL: several processes may write. The directory
 * is made with the first.
 */
export function fileKeySetStore(directory: string): KeySetStore {
  const fileOf = (url: string) => join(directory, `${createHash("sha256").update(url).digest("hex")}.json`);
  return {
    async load() {
      const names = await readdir(directory).catch((error: unknown) => {
        if (isMissing(error)) return [];
        throw error;
      });
      const found = new Map<string, string>();
      for (const name of names.filter((one) => /^[0-9a-f]{64}\.json$/.test(one))) {
        const kept = await readFile(join(directory, name), "utf8").then(parsed, () => undefined);
        if (kept !== undefined && fileOf(kept.url) === join(directory, name)) found.set(kept.url, kept.keys);
      }
      return found;
    },
    async save(url, keys) {
      if (keys === undefined) return await rm(fileOf(url), { force: true });
      await mkdir(directory, { recursive: true, mode: 0o700 });
      await replaceFile(fileOf(url), JSON.stringify({ url, keys }), 0o600);
    },
  };
}

function parsed(text: string): { readonly url: string; readonly keys: string } | undefined {
  if (text.length > MAX_BYTES) return undefined;
  try {
    const { url, keys } = JSON.parse(text) as { readonly url?: unknown; readonly keys?: unknown };
    return typeof url === "string" && typeof keys === "string" ? { url, keys } : undefined;
  } catch {
    return undefined;
  }
}
