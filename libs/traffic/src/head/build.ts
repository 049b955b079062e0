import { badHead } from "../errors.ts";
import { HeadView, hashName, MAX_HEADERS } from "./head.ts";

/** A request or response head as plain values, for offline callers and tests. */
export interface HeadInput {
  /** Default `GET`. */
  readonly method?: string;
  /** Path with query; default `/`. */
  readonly path?: string;
  readonly authority?: string;
  /** Responses only. */
  readonly status?: number;
  readonly headers?: readonly (readonly [name: string, value: string])[];
}

/**
 * Builds a {@link HeadView} over bytes of its own. Texts are encoded as UTF-8, values trimmed.
 * @throws LateenError LTN5903 with more than {@link MAX_HEADERS} headers.
 */
export function headFrom(input: HeadInput): HeadView {
  const headers = input.headers ?? [];
  if (headers.length > MAX_HEADERS) throw badHead(`${headers.length} headers, at most ${MAX_HEADERS} are allowed`);
  const parts: Uint8Array[] = [];
  let length = 0;
  const add = (text: string): number => {
    const part = Buffer.from(text, "utf8");
    parts.push(part);
    length += part.length;
    return length - part.length;
  };
  const head = new HeadView();
  head.methodStart = add(input.method ?? "GET");
  head.methodEnd = length;
  head.pathStart = add(input.path ?? "/");
  head.pathEnd = length;
  head.authorityStart = add(input.authority ?? "");
  head.authorityEnd = length;
  head.status = input.status ?? 0;
  headers.forEach(([name, value], i) => {
    head.offsets[i * 4] = add(name);
    head.offsets[i * 4 + 1] = length;
    head.offsets[i * 4 + 2] = add(value.trim());
    head.offsets[i * 4 + 3] = length;
    head.nameHashes[i] = hashName(name);
  });
  head.count = headers.length;
  head.bytes = Buffer.concat(parts, length);
  const query = head.bytes.subarray(head.pathStart, head.pathEnd).indexOf(0x3f);
  head.queryStart = query < 0 ? head.pathEnd : head.pathStart + query;
  return head;
}
