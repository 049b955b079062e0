import { type InjectionConfig, injectDocuments, readInjectionConfig } from "@lateen/injector";
import { valueFromText } from "@lateen/mesh-model";
import type { Cli } from "../cli.ts";
import { injectionRefused } from "../errors.ts";
import { shortPath } from "../mesh/client.ts";
import type { SourceText } from "../mesh/documents.ts";

/** What decides on injection beside the files. */
export interface InjectionInput {
  readonly mesh: SourceText | undefined;
  readonly config: SourceText | undefined;
  readonly values: SourceText | undefined;
  readonly set: readonly string[];
  readonly kubernetesMinor: number | undefined;
  /** Of objects that name none. */
  readonly namespace: string;
}

/**
 * Files with sidecars in their workloads.
 * @throws LTN7508 with everything that is wrong.
 */
export function injectSources(cli: Cli, sources: readonly SourceText[], input: InjectionInput): string {
  const config = configOf(input);
  const problems: string[] = [];
  const texts = sources.map((source) => {
    const file = shortPath(cli, source.file);
    const injected = injectDocuments(source.text, config, { file, namespace: input.namespace });
    if (!injected.ok) {
      problems.push(...injected.error);
      return "";
    }
    for (const warning of injected.value.warnings) cli.err(`warning: ${warning}\n`);
    return injected.value.text;
  });
  if (problems.length > 0) throw injectionRefused(problems);
  return joined(texts);
}

function configOf({ mesh, config, values, set, kubernetesMinor }: InjectionInput): InjectionConfig {
  const injection = dataOf(config);
  const read = readInjectionConfig({
    mesh: dataOf(mesh)?.mesh ?? mesh?.text,
    config: injection === undefined ? config?.text : injection.config,
    values: values?.text ?? injection?.values,
    ...{ set, kubernetesMinor },
  });
  if (read.ok) return read.value;
  throw injectionRefused(read.error);
}

/** The texts of a ConfigMap; undefined when the file is none. */
function dataOf(source: SourceText | undefined): Readonly<Record<string, string>> | undefined {
  if (source === undefined) return undefined;
  const read = valueFromText(source.text, source.file);
  const value = read.ok ? (read.value.value as { kind?: unknown; data?: Record<string, string> } | null) : null;
  return value?.kind === "ConfigMap" ? (value.data ?? {}) : undefined;
}

/** One text of all; a document ends where the next begins. */
function joined(texts: readonly string[]): string {
  return texts.reduce((all, text) => {
    if (all === "" || text === "") return all + text;
    const ended = all.endsWith("\n") ? all : `${all}\n`;
    return text.startsWith("---") ? ended + text : `${ended}---\n${text}`;
  }, "");
}
