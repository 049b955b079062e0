import { readFile } from "node:fs/promises";
import { join } from "node:path";

/** Labels and annotations of the pod, as the downward API writes them into a volume. */
export interface PodInfo {
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

/** Reads the files `labels` and `annotations` of a directory. One that is not there is empty. */
export async function readPodInfo(directory: string): Promise<PodInfo> {
  const read = async (name: string) => parsePodInfo(await readFile(join(directory, name), "utf8").catch(() => ""));
  const [labels, annotations] = await Promise.all([read("labels"), read("annotations")]);
  return { labels, annotations };
}

/** Lines `key="value"`, the value quoted as Go does. Lines that are none are left out. */
export function parsePodInfo(text: string): Readonly<Record<string, string>> {
  return Object.fromEntries(
    text.split("\n").flatMap((line) => {
      const equals = line.indexOf("=");
      const value = equals > 0 ? unquoted(line.slice(equals + 1)) : undefined;
      return value === undefined ? [] : [[line.slice(0, equals), value]];
    }),
  );
}

const ESCAPES: Readonly<Record<string, string>> = { n: "\n", t: "\t", r: "\r", a: "\x07", b: "\b", f: "\f", v: "\v" };

function unquoted(text: string): string | undefined {
  if (!/^".*"$/s.test(text)) return undefined;
  // \xNN are bytes of UTF-8; runs of them are decoded together.
  return text
    .slice(1, -1)
    .replaceAll(/(?:\\x[0-9a-fA-F]{2})+/g, (bytes) => Buffer.from(bytes.replaceAll("\\x", ""), "hex").toString("utf8"))
    .replaceAll(/\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))/g, (_, short?: string, long?: string, letter = "") => {
      const code = short ?? long;
      return code === undefined ? (ESCAPES[letter] ?? letter) : String.fromCodePoint(Number.parseInt(code, 16));
    });
}
