import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import type { NatsChoice } from "@lateen/local-runtime";
import type { Cli } from "../cli.ts";
import type { UpOptions } from "../commands/up.ts";
import { usageError } from "../errors.ts";

/** Names the program `nats-server` where it is not on the PATH. */
const VARIABLE = "LATEEN_NATS_SERVER";

/** What `--nats` means here. @throws LTN7501 when nats-server is to be started and is not there. */
export function natsOf(cli: Pick<Cli, "env">, { nats }: Pick<UpOptions, "nats">): { readonly nats?: NatsChoice } {
  if (nats === "off") return {};
  if (nats !== "auto" && nats !== "local") return { nats: { kind: "running", url: nats } };
  const program = cli.env[VARIABLE] || onPath(cli.env.PATH ?? "");
  if (program !== undefined) return { nats: { kind: "own", program } };
  if (nats === "auto") return {};
  throw usageError("--nats local: there is no nats-server on the PATH", `install it, or name it by ${VARIABLE}`);
}

function onPath(path: string): string | undefined {
  for (const directory of [...path.split(delimiter), "/usr/sbin"]) {
    const candidate = join(directory, "nats-server");
    try {
      if (directory !== "") accessSync(candidate, constants.X_OK);
      else continue;
      return candidate;
    } catch {
      // not here
    }
  }
  return undefined;
}
