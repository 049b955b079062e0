import { err, messageOf, ok, type Result } from "@lateen/kernel";
import type { LabelSelector } from "@lateen/mesh-model";
import {
  diagnosticText,
  type Infer,
  type SchemaNode,
  s,
  settingsFromText,
  settingsFromValue,
  valueFromText,
} from "@lateen/mesh-model";
import type { DecisionPolicy } from "../decision.ts";
import { isObject, type JsonObject, objectOf } from "../json.ts";
import { selectorOf } from "../selectors.ts";
import { builtInTemplates } from "../template/names.ts";
import { parseTextTemplate, type TextTemplate } from "../template/text.ts";
import { type MeshSettings, meshSettings } from "./mesh-settings.ts";
import type { ProxyConfigs } from "./proxy-configs.ts";
import { assignValue } from "./set.ts";
import { completeValues, type InjectionValues, selectorsSchema, valuesSchema } from "./values.ts";

/** Key `config` of the ConfigMap `istio-sidecar-injector`. */
export const injectionSchema = s.object({
  policy: s.oneOf(["enabled", "disabled"]),
  alwaysInjectSelector: selectorsSchema,
  neverInjectSelector: selectorsSchema,
  injectedAnnotations: s.map(s.string()),
  defaultTemplates: s.array(s.string()),
  templates: s.map(s.string()),
  aliases: s.map(s.array(s.string())),
});

/** Texts of an injection configuration, as the ConfigMaps `istio-sidecar-injector` (`config`, `values`) and `istio` (`mesh`) hold them. */
export interface InjectionTexts {
  /** YAML of {@link injectionSchema}. */
  readonly config?: string | undefined;
  /** YAML or JSON of {@link valuesSchema}. */
  readonly values?: string | undefined;
  readonly mesh?: string | undefined;
  /** `path=value`, over the values. */
  readonly set?: readonly string[];
  /** Minor version of Kubernetes 1.x, which decides on native sidecars. Undefined: not known. */
  readonly kubernetesMinor?: number | undefined;
}

/** Everything that injection depends on beside the pod. Immutable; a change makes a new one. */
export interface InjectionConfig extends DecisionPolicy {
  readonly injectedAnnotations: Readonly<Record<string, string>>;
  readonly defaultTemplates: readonly string[];
  /** Templates of the operator's own, by name; they win over built-in ones. */
  readonly templates: ReadonlyMap<string, TextTemplate>;
  readonly aliases: Readonly<Record<string, readonly string[]>>;
  readonly values: InjectionValues;
  /** The values as written, for templates. */
  readonly writtenValues: JsonObject;
  readonly mesh: MeshSettings;
  /** ProxyConfig objects; between the mesh's `defaultConfig` and the pod's annotation. Default none. */
  readonly proxyConfigs: ProxyConfigs;
  readonly kubernetesMinor: number | undefined;
}

/** Reads an injection configuration; everything has a default. @returns all problems at once. */
export function readInjectionConfig(texts: InjectionTexts = {}): Result<InjectionConfig, readonly string[]> {
  const problems: string[] = [];
  const config = settingsFromText(injectionSchema, texts.config ?? "", "config");
  if (!config.ok) problems.push(...config.error.map((each) => `config: ${diagnosticText(each)}`));
  const written = writtenValues(texts, problems);
  const values = settingsFromValue(valuesSchema, written, "values");
  if (!values.ok) problems.push(...values.error.map((each) => `values: ${diagnosticText(each)}`));
  const mesh = meshSettings(texts.mesh ?? "", objectOf(written.meshConfig));
  if (!mesh.ok) problems.push(...mesh.error);
  if (!config.ok || !values.ok || !mesh.ok) return err(problems);
  const webhook = values.value.sidecarInjectorWebhook ?? {};
  const complete = completeValues(values.value);
  const result: InjectionConfig = {
    revision: complete.revision,
    enableNamespacesByDefault: webhook.enableNamespacesByDefault ?? false,
    policy: config.value.policy ?? values.value.global?.proxy?.autoInject ?? "enabled",
    alwaysInjectSelector: selectors("alwaysInjectSelector", config.value, webhook, problems),
    neverInjectSelector: selectors("neverInjectSelector", config.value, webhook, problems),
    injectedAnnotations: { ...webhook.injectedAnnotations, ...config.value.injectedAnnotations },
    defaultTemplates: nonEmpty(config.value.defaultTemplates) ?? nonEmpty(webhook.defaultTemplates) ?? ["sidecar"],
    templates: textTemplates({ ...webhook.templates, ...config.value.templates }, problems),
    aliases: config.value.aliases ?? {},
    values: complete,
    writtenValues: written,
    mesh: mesh.value,
    proxyConfigs: [],
    kubernetesMinor: texts.kubernetesMinor,
  };
  for (const name of result.defaultTemplates) {
    if (!knownTemplate(result, name)) problems.push(`config: defaultTemplates: there is no template "${name}"`);
  }
  return problems.length > 0 ? err(problems) : ok(result);
}

/** Whether pods may name it in `inject.istio.io/templates`. */
export function knownTemplate({ templates, aliases }: InjectionConfig, name: string): boolean {
  return templates.has(name) || Object.hasOwn(aliases, name) || (builtInTemplates as readonly string[]).includes(name);
}

type Written = Infer<typeof injectionSchema>;
type WrittenSelectors = Pick<Written, "alwaysInjectSelector" | "neverInjectSelector">;

function selectors(
  field: keyof WrittenSelectors,
  config: WrittenSelectors,
  webhook: WrittenSelectors,
  problems: string[],
): readonly LabelSelector[] {
  return (config[field] ?? webhook[field] ?? []).flatMap((value, index) => {
    const selector = selectorOf(value);
    if (selector !== undefined) return [selector];
    problems.push(`${field}[${index}]: is no label selector (matchLabels, matchExpressions)`);
    return [];
  });
}

function textTemplates(texts: Readonly<Record<string, string>>, problems: string[]): ReadonlyMap<string, TextTemplate> {
  const templates = new Map<string, TextTemplate>();
  for (const [name, text] of Object.entries(texts)) {
    try {
      templates.set(name, parseTextTemplate(text));
    } catch (error) {
      problems.push(`templates: ${name}: ${messageOf(error)}`);
    }
  }
  return templates;
}

function writtenValues(texts: InjectionTexts, problems: string[]): JsonObject {
  const read = valueFromText(texts.values ?? "", "values");
  if (!read.ok) {
    problems.push(...read.error.map((each) => `values: ${diagnosticText(each)}`));
    return {};
  }
  if (read.value.value !== null && !isObject(read.value.value)) problems.push("values: must be a map");
  let values = objectOf(read.value.value);
  for (const assignment of texts.set ?? []) {
    const merged = assignValue(values, assignment);
    if (merged.ok) values = merged.value;
    else problems.push(merged.error);
  }
  return (texts.set ?? []).length === 0 ? values : objectOf(typed(valuesSchema, values));
}

/** Texts of assignments become what the schema expects at their place. What is no such thing stays, for the schema to refuse. */
function typed(node: SchemaNode, value: unknown): unknown {
  if (typeof value === "string") return fromText(node, value);
  if (node.type === "object" && isObject(value)) {
    return Object.fromEntries(
      Object.entries(value).map(([name, inner]) => {
        const field = Object.hasOwn(node.fields, name) ? node.fields[name] : undefined;
        return [name, field === undefined ? inner : typed(field.schema, inner)];
      }),
    );
  }
  if (node.type === "map" && isObject(value)) {
    return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, typed(node.values, inner)]));
  }
  if (node.type === "array" && Array.isArray(value)) return value.map((item) => typed(node.items, item));
  if (node.type === "any" && isObject(value)) {
    return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, typed(node, inner)]));
  }
  return node.type === "any" && Array.isArray(value) ? value.map((item) => typed(node, item)) : value;
}

function fromText(node: SchemaNode, text: string): unknown {
  switch (node.type) {
    case "boolean":
      return text === "true" ? true : text === "false" ? false : text;
    case "number":
      return text !== "" && Number.isFinite(Number(text)) ? Number(text) : text;
    case "object":
    case "map":
    case "array":
    case "any": {
      const read = valueFromText(text, "--set");
      return read.ok ? (read.value.value ?? (node.type === "any" ? "" : undefined)) : text;
    }
    case "string":
    case "enum":
    case "duration":
    case "intOrString":
      return text;
  }
}

function nonEmpty<T>(list: readonly T[] | undefined): readonly T[] | undefined {
  return list === undefined || list.length === 0 ? undefined : list;
}
