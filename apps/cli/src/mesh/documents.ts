import { resolve } from "node:path";
import { messageOf } from "@lateen/kernel";
import { readConfigFiles } from "@lateen/local-runtime";
import type { Cli } from "../cli.ts";
import { badFile, usageError } from "../errors.ts";

/** A text with objects in it. `file` is absolute, or `<stdin>`. */
export interface SourceText {
  readonly file: string;
  readonly text: string;
}

/**
 * Reads what `-f` names: files, directories, `-` for standard input.
 * @throws LTN7501 without any, LTN7505 for what cannot be read.
 */
export async function readSources(
  cli: Cli,
  paths: readonly string[] | undefined,
  options: { readonly recursive?: boolean } = {},
): Promise<readonly SourceText[]> {
  if (paths === undefined || paths.length === 0)
    throw usageError("name files or directories with -f; `-f -` reads standard input");
  const texts: SourceText[] = [];
  for (const path of paths) {
    if (path === "-") texts.push({ file: "<stdin>", text: await cli.readInput() });
    else {
      try {
        texts.push(...(await readConfigFiles([resolve(cli.cwd, path)], options)));
      } catch (error) {
        throw badFile(path, reasonOf(error));
      }
    }
  }
  return texts;
}

function reasonOf(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "ENOENT") return "no such file or directory";
  if (code === "EACCES") return "not allowed to read it";
  return messageOf(error);
}
