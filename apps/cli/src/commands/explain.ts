import { type Command, InvalidArgumentError } from "commander";
import type { Cli } from "../cli.ts";
import { command, fileOption, formatOf, headerOption, meshOption, outputOption } from "../command.ts";
import { usageError } from "../errors.ts";
import type { WorldOptions } from "../offline/mesh-objects.ts";

/** Options of `lateen explain` as given. */
export interface ExplainOptions extends WorldOptions {
  readonly from?: string;
  readonly header?: readonly (readonly [name: string, value: string])[];
  readonly limit: number;
  /** Seconds. */
  readonly record?: number;
  readonly output?: string;
}

/** Proxies remember everything for ten minutes at most. */
const MOST_SECONDS = 600;

/** `lateen explain`: why a request or connection went as it went, or a request would go. */
export function explainCommand(cli: Cli): Command {
  return command(
    "explain",
    "tell why a request was answered, or a connection refused, as it was: the rule, the object, file and line",
    [
      "lateen explain                                   recent requests and connections that failed",
      "lateen explain 2f9c51d0                          one of them, by the beginning of its x-request-id, or of its connection id",
      "lateen explain --record 60                       for a minute, remember requests that go well, too",
      "lateen explain --from productpage-v1 GET http://reviews:9080/reviews/0 -H 'end-user: tester'   nothing is sent",
    ],
  )
    .argument("[words...]", "an id of a request or connection; with --from: [METHOD] URL")
    .option(
      "--from <workload>",
      "what would become of a request by this workload; a gateway stands for a client outside",
    )
    .addOption(headerOption())
    .addOption(fileOption("with --from: file or directory of configuration; without it the running mesh is asked"))
    .option("-R, --recursive", "also take the directories below")
    .option("--mesh-config <file>", "with --from and -f: mesh configuration")
    .option("--limit <n>", "how many requests to list", wholeNumber, 20)
    .option("--record <seconds>", "have every proxy remember requests that go well, too; 0 ends it", recordTime)
    .addOption(meshOption())
    .addOption(outputOption())
    .action(async (words: readonly string[], options: ExplainOptions) => {
      const format = formatOf(options.output);
      if (options.record !== undefined) {
        if (words.length > 0 || options.from !== undefined) throw usageError("--record stands alone");
        const { recordAll } = await import("../explain/remembered.ts");
        return recordAll(cli, options.mesh, options.record, format);
      }
      if (options.from !== undefined) {
        const { explainFrom } = await import("../explain/what-if.ts");
        return explainFrom(cli, { ...options, from: options.from, request: words.join(" ") }, format);
      }
      if (options.filename !== undefined || options.header !== undefined) throw usageError("-f and -H need --from");
      const [id, ...more] = words;
      if (more.length > 0) throw usageError("one id, or --from WORKLOAD [METHOD] URL");
      const happened = await import("../explain/happened.ts");
      if (id === undefined) return happened.listFailures(cli, options, format);
      return happened.explainRequest(cli, options.mesh, id, format);
    });
}

function recordTime(text: string): number {
  const seconds = wholeNumber(text);
  if (seconds <= MOST_SECONDS) return seconds;
  throw new InvalidArgumentError(`at most ${MOST_SECONDS} seconds`);
}

function wholeNumber(text: string): number {
  if (/^\d{1,6}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("a whole number");
}
