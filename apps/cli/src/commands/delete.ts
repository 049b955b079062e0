import type { Command } from "commander";
import { Option } from "commander";
import type { Cli } from "../cli.ts";
import { command, fileOption, formatOf, meshOption, namespaceOption, outputOption } from "../command.ts";
import { usageError } from "../errors.ts";
import { Exit, exitCodes } from "../exit.ts";
import { type ChangeAnswer, type ChangeResult, tellProblems, waitForProxies } from "../mesh/changes.ts";
import { MeshClient } from "../mesh/client.ts";
import { readSources } from "../mesh/documents.ts";
import { printResult } from "../output/format.ts";
import { waitDuration } from "./apply.ts";

interface DeleteOptions {
  readonly filename?: readonly string[];
  readonly namespace?: string;
  readonly takeOver?: boolean;
  readonly ignoreNotFound?: boolean;
  readonly wait?: number | true;
  readonly mesh: string;
  readonly output?: string;
}

interface ObjectName {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}

/** `lateen delete`: takes objects out of the running mesh. */
export function deleteCommand(cli: Cli): Command {
  return command("delete", "take objects out of the running mesh", [
    "lateen delete virtualservice reviews",
    "lateen delete vs/reviews dr/reviews -n shop",
    "lateen delete -f rule.yaml",
  ])
    .argument("[kind-and-names...]", "KIND NAME…, or KIND/NAME…")
    .addOption(fileOption("file or directory whose objects are deleted, or -"))
    .addOption(namespaceOption())
    .option("--take-over", "delete objects although they belong to a watched file")
    .option("--ignore-not-found", "an object that is not there is no error")
    .addOption(new Option("--wait [duration]", "return when every proxy has it; default 30s").argParser(waitDuration))
    .addOption(meshOption())
    .addOption(outputOption())
    .action((words: readonly string[], options: DeleteOptions) => deleteObjects(cli, words, options));
}

async function deleteObjects(cli: Cli, words: readonly string[], options: DeleteOptions): Promise<void> {
  const objects = [...(await namedByWords(words, options)), ...(await namedByFiles(cli, options))];
  if (objects.length === 0) throw usageError("nothing to delete: give KIND NAME, or -f FILE");
  const client = new MeshClient(cli, options.mesh);
  const answer = await client.post<ChangeAnswer<ChangeResult>>("/config/delete", {
    objects,
    takeOver: options.takeOver ?? false,
  });
  const { objectLabel } = await import("../mesh/kinds.ts");
  tellProblems(cli, answer.results);
  const missing = answer.results.filter(({ action }) => action === "notFound");
  if (!options.ignoreNotFound) {
    for (const { kind, namespace, name } of missing)
      cli.err(`error: ${objectLabel(kind, name)} not found in namespace ${namespace}\n`);
  }
  const deleted = answer.results.filter(({ action }) => action === "deleted");
  await printResult(cli, formatOf(options.output), answer, () =>
    deleted.map(({ kind, name }) => `${objectLabel(kind, name)} deleted\n`).join(""),
  );
  if (options.wait !== undefined && deleted.length > 0) {
    await waitForProxies(cli, client, answer.revision, options.wait === true ? 30_000 : options.wait);
  }
  const failed =
    answer.results.some(({ action }) => action === "rejected") || (missing.length > 0 && !options.ignoreNotFound);
  if (failed) throw new Exit(exitCodes.badInput);
}

async function namedByWords(words: readonly string[], options: DeleteOptions): Promise<readonly ObjectName[]> {
  if (words.length === 0) return [];
  const { kindByName } = await import("../mesh/kinds.ts");
  const named = (kindName: string, name: string): ObjectName => {
    const { kind, cluster } = kindByName(kindName);
    return { kind, namespace: cluster ? "" : (options.namespace ?? "default"), name };
  };
  if (words.every((word) => word.includes("/"))) {
    return words.map((word) => named(word.slice(0, word.indexOf("/")), word.slice(word.indexOf("/") + 1)));
  }
  const [kind = "", ...names] = words;
  if (names.length === 0) throw usageError(`which ${kind}? give its name`);
  return names.map((name) => named(kind, name));
}

async function namedByFiles(cli: Cli, options: DeleteOptions): Promise<readonly ObjectName[]> {
  if (options.filename === undefined) return [];
  const { decodeText } = await import("@lateen/mesh-model");
  const objects: ObjectName[] = [];
  for (const source of await readSources(cli, options.filename)) {
    for (const document of decodeText(source, { defaultNamespace: options.namespace ?? "default" })) {
      // A document need not be valid to say what it names.
      const { kind, namespace, name } = document.ok
        ? { kind: document.object.kind, ...document.object.metadata }
        : document;
      if (name !== "") objects.push({ kind, namespace, name });
    }
  }
  return objects;
}
