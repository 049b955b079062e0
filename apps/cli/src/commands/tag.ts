import type { Command } from "commander";
import type { Cli } from "../cli.ts";
import { command, formatOf, outputOption } from "../command.ts";
import { usageError } from "../errors.ts";
import type { ClusterOptions } from "../kubernetes/kubectl.ts";
import { clusterOptions } from "../kubernetes/options.ts";
import { printResult } from "../output/format.ts";

interface TagOptions extends ClusterOptions {
  readonly revision: string;
  readonly overwrite?: boolean;
  readonly yes?: boolean;
  readonly output?: string;
}

/** `lateen tag`: names that stand for a revision, so that namespaces need not be labelled anew at an upgrade. */
export function tagCommand(cli: Cli): Command {
  const group = command("tag", "names that stand for a revision of the mesh in a Kubernetes cluster", [
    "lateen tag set prod --revision canary",
  ]);
  const all = [setCommand(cli), generateCommand(cli), listCommand(cli), removeCommand(cli)];
  for (const each of all) {
    for (const option of clusterOptions()) each.addOption(option);
    group.addCommand(each);
  }
  return group;
}

function setCommand(cli: Cli): Command {
  return command("set", "let a tag stand for a revision; `default` is what istio-injection=enabled means", [
    "lateen tag set prod --revision canary",
    "lateen tag set prod --revision 1-2 --overwrite",
  ])
    .argument("<tag>", "name of the tag")
    .requiredOption("--revision <name>", "revision that injects what is labelled with the tag")
    .option("--overwrite", "take the tag from the revision that it stands for")
    .action(async (tag: string, options: TagOptions) => {
      const { revision } = options;
      const { tags, kubectl, apply, revisions } = await tools(cli, options);
      const objects = await tags.tagObjects(kubectl, tag, revision);
      const before = (await tags.listTags(kubectl)).find((each) => each.tag === tag);
      if (before !== undefined && before.revision !== revision && options.overwrite !== true)
        throw usageError(`tag ${tag} stands for revision ${before.revision}`, "say --overwrite to move it");
      if (tag !== "default" && (await revisions()).has(tag))
        throw usageError(`there is a revision ${tag}: a tag of that name would be another`, "choose another name");
      await apply.apply(kubectl, objects);
      await putBase(cli, options, tag, revision === "default");
      cli.out(`tag ${tag} stands for revision ${revision}\n`);
    });
}

function generateCommand(cli: Cli): Command {
  return command("generate", "print the objects of a tag", ["lateen tag generate prod --revision canary"])
    .argument("<tag>", "name of the tag")
    .requiredOption("--revision <name>", "revision that it stands for")
    .action(async (tag: string, options: TagOptions) => {
      const { tags, kubectl } = await tools(cli, options);
      const objects = await tags.tagObjects(kubectl, tag, options.revision);
      const { toYaml } = await import("../output/yaml.ts");
      cli.out(objects.map(toYaml).join("---\n"));
    });
}

function listCommand(cli: Cli): Command {
  return command("list", "tags, what they stand for, and the namespaces that use them", ["lateen tag list -o json"])
    .addOption(outputOption())
    .action(async (options: TagOptions) => {
      const { tags, kubectl } = await tools(cli, options);
      const found = await tags.listTags(kubectl);
      const { table } = await import("../output/table.ts");
      const rows = found.map(({ tag, revision, namespaces }) => [tag, revision, namespaces.join(",")]);
      await printResult(cli, formatOf(options.output), found, () =>
        rows.length === 0 ? "there are no tags\n" : table(["TAG", "REVISION", "NAMESPACES"], rows),
      );
    });
}

function removeCommand(cli: Cli): Command {
  return command("remove", "remove a tag", ["lateen tag remove prod"])
    .argument("<tag>", "name of the tag")
    .option("-y, --yes", "also while namespaces use it")
    .action(async (tag: string, options: TagOptions) => {
      const { tags, kubectl, apply } = await tools(cli, options);
      const found = (await tags.listTags(kubectl)).find((each) => each.tag === tag);
      if (found === undefined) throw usageError(`there is no tag ${tag}`, "lateen tag list shows them");
      const { namespaces } = found;
      if (namespaces.length > 0 && options.yes !== true)
        throw usageError(
          `pods of ${namespaces.join(", ")} would get no sidecar any more: they use tag ${tag}`,
          "say -y to remove it all the same",
        );
      // Before it goes: nobody's pods are to start without a sidecar in between.
      if (tag === "default") await putBase(cli, options, tag, true);
      await apply.remove(cli, kubectl, tags.tagIdentities(tag));
      cli.out(`tag ${tag} is gone\n`);
    });
}

/** While a tag stands for `default`, the default revision's own webhook is asked nothing. */
async function putBase(cli: Cli, options: TagOptions, tag: string, active: boolean): Promise<void> {
  if (tag !== "default") return;
  const { tags, kubectl, apply } = await tools(cli, options);
  const base = await tags.baseWebhook(kubectl, active);
  if (base !== undefined) await apply.apply(kubectl, [base]);
}

async function tools(cli: Cli, options: TagOptions) {
  const [tags, apply, { Kubectl }] = await Promise.all([
    import("../kubernetes/tags.ts"),
    import("../kubernetes/apply.ts"),
    import("../kubernetes/kubectl.ts"),
  ]);
  const kubectl = new Kubectl(cli, options);
  const revisions = async () => apply.revisionsOf(await apply.installed(kubectl));
  return { tags, apply, kubectl, revisions };
}
