import { type InjectionConfig, injectDocuments, readInjectionConfig } from "@lateen/injector";
import { decodeText, diagnosticText, REVISION_LABEL, type Resource, valueFromText } from "@lateen/mesh-model";
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
  /** ProxyConfig objects that hold beside those among the files. */
  readonly proxyConfigs: readonly SourceText[];
  readonly kubernetesMinor: number | undefined;
  /** Of objects that name none. */
  readonly namespace: string;
}

/**
 * Files with sidecars in their workloads.
 * @throws LTN7508 with everything that is wrong.
 */
export function injectSources(cli: Cli, sources: readonly SourceText[], input: InjectionInput): string {
  const settings = configOf(input);
  const proxyConfigs = proxyConfigsOf(cli, sources, input);
  const config = {
    ...settings,
    proxyConfigs: proxyConfigs.filter(
      ({ metadata }) => (metadata.labels?.[REVISION_LABEL] ?? settings.revision) === settings.revision,
    ),
  };
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

/**
 * The ProxyConfigs that are given and those among the files; of two of one name the first holds. What is wrong with other documents of the files is said
 * where sidecars are put in.
 * @throws LTN7508 when one cannot be read.
 */
function proxyConfigsOf(
  cli: Cli,
  sources: readonly SourceText[],
  { proxyConfigs: given, namespace }: InjectionInput,
): readonly Resource<"ProxyConfig">[] {
  const objects = new Map<string, Resource<"ProxyConfig">>();
  const problems: string[] = [];
  for (const source of [...given, ...sources]) {
    const file = shortPath(cli, source.file);
    for (const document of decodeText({ file, text: source.text }, { defaultNamespace: namespace })) {
      if (!document.ok) {
        if (document.ignored || (document.kind !== "ProxyConfig" && !given.includes(source))) continue;
        const name = document.kind === "" ? "" : `${document.kind} ${document.namespace}/${document.name}: `;
        const errors = document.diagnostics.filter(({ level }) => level === "error");
        problems.push(...errors.map((each) => `${file}:${each.origin.line}: ${name}${diagnosticText(each)}`));
        continue;
      }
      const { object } = document;
      if (object.kind !== "ProxyConfig") continue;
      const key = `${object.metadata.namespace}/${object.metadata.name}`;
      if (!objects.has(key)) objects.set(key, object);
    }
  }
  if (problems.length > 0) throw injectionRefused(problems);
  return [...objects.values()];
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
