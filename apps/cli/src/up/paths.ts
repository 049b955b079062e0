import { existsSync, realpathSync } from "node:fs";
import { resolve } from "node:path";
import type { Cli } from "../cli.ts";
import type { UpOptions } from "../commands/up.ts";
import { badFile, usageError } from "../errors.ts";

/**
 * The files and directories of configuration, absolute, each once.
 * @throws LTN7501 without any, LTN7505 for one that does not exist.
 */
export function configPaths(cli: Cli, options: Pick<UpOptions, "filename" | "runtime">): readonly string[] {
  const given = [...(options.filename ?? []), ...(options.runtime ?? [])];
  if ((options.filename ?? []).length === 0) {
    throw usageError(
      "nothing to run: name files or directories with -f",
      "for example `lateen up -f samples/bookinfo`",
    );
  }
  const paths = given.map((path) => {
    const absolute = resolve(cli.cwd, path);
    if (!existsSync(absolute)) throw badFile(path, "no such file or directory");
    return realpathSync(absolute);
  });
  return [...new Set(paths)];
}
