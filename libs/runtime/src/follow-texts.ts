import { readFile } from "node:fs/promises";
import { type Clock, type Logger, messageOf, type Scope } from "@lateen/kernel";

/** Texts by name; undefined where no file is named. */
export type Texts<Name extends string> = Readonly<Record<Name, string | undefined>>;

/** How often files are looked at: a mounted ConfigMap follows within the kubelet's minute. */
const LOOK_MS = 2000;

/** Reads files. @throws when one cannot be read. */
export async function readTexts<Name extends string>(files: Texts<Name>): Promise<Texts<Name>> {
  const read = async ([name, path]: [string, string | undefined]) =>
    [name, path === undefined ? undefined : await readFile(path, "utf8")] as const;
  return Object.fromEntries(await Promise.all(Object.entries<string | undefined>(files).map(read))) as Texts<Name>;
}

/**
 * Reads files, and again for as long as the scope lives.
 * @param changed gets all texts whenever one of them is another. Files that cannot be read, as while a mount is replaced, change nothing.
 * @returns the first reading. @throws (rejects) when that fails.
 */
export async function followTexts<Name extends string>(
  files: Texts<Name>,
  { scope, clock, logger }: { readonly scope: Scope; readonly clock: Clock; readonly logger: Logger },
  changed: (texts: Texts<Name>) => void,
): Promise<Texts<Name>> {
  let texts = await readTexts(files);
  const first = texts;
  const look = async () => {
    try {
      const read = await readTexts(files);
      if (JSON.stringify(read) === JSON.stringify(texts)) return;
      texts = read;
      changed(read);
    } catch (error) {
      logger.warn({ event: "configuration.unreadable", reason: messageOf(error) });
    }
  };
  if (Object.values(files).some((path) => path !== undefined)) scope.defer(clock.every(LOOK_MS, () => void look()));
  return first;
}
