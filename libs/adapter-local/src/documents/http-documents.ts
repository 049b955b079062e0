import type { DocumentSource } from "@lateen/ports";
import { getText } from "../http/get-text.ts";

/** Fetches documents with this machine's network and trust store. A longer one than `maxBytes` (default 256 KiB) is refused. */
export function httpDocuments({ maxBytes = 256 * 1024 }: { readonly maxBytes?: number } = {}): DocumentSource {
  return (url, timeoutMs, signal) =>
    getText(url, { maxBytes, signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]), redirect: "follow" });
}
