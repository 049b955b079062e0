import {
  type InstallSettings,
  manifestOf,
  PROFILES,
  RELEASE,
  SETTING_FORMS,
  SETTING_NAMES,
  settingsOf,
} from "@lateen/manifests";
import { parts } from "./parts.ts";
import { grouped, isCommon, type Variant, variantsOf } from "./variants.ts";
import { yamlFile, yamlText } from "./yaml-file.ts";

const CHART = "helm/lateen";
/** What is text in the objects. A revision is more than that: which objects there are depends on it, so the chart is of the default one. */
type TextSetting = Exclude<keyof InstallSettings, "profile" | "revision">;
const TEXT_SETTINGS = Object.entries(SETTING_NAMES).filter(
  (entry): entry is [string, TextSetting] => entry[1] !== "profile" && entry[1] !== "revision",
);

/** Stands in a text for the value of a setting. YAML quotes what begins with it, so any value is a string there. */
const placeholder = (setting: string): string => `@@${setting}@@`;

/** The chart: the objects of all profiles with the settings as values. Paths are below `deploy/`. */
export function helmFiles(): ReadonlyMap<string, string> {
  const settings = Object.fromEntries(TEXT_SETTINGS.map(([, setting]) => [setting, placeholder(setting)]));
  const variants = variantsOf((profile) =>
    manifestOf({ ...settingsOf(profile), ...settings, profile } as InstallSettings, parts),
  );
  const files = new Map<string, string>([
    [`${CHART}/Chart.yaml`, chart()],
    [`${CHART}/values.yaml`, values()],
    [`${CHART}/values.schema.json`, `${JSON.stringify(valuesSchema(), null, 2)}\n`],
  ]);
  for (const [group, members] of grouped(variants, (variant) => variant.group)) {
    files.set(`${CHART}/templates/${group}.yaml`, `${yamlFile()}${members.map(template).join("")}`);
  }
  return files;
}

function template(variant: Variant): string {
  const text = yamlText(variant.object);
  if (text.includes("{{")) throw new Error(`${variant.object.metadata.name}: its text would be taken for a template`);
  let filled = text;
  for (const [path, setting] of TEXT_SETTINGS)
    filled = filled.replaceAll(placeholder(setting), `{{ .Values.${path} }}`);
  const body = `---\n${filled}`;
  const condition = conditionOf(variant);
  return condition === undefined ? body : `{{- if ${condition} }}\n${body}{{- end }}\n`;
}

function conditionOf(variant: Variant): string | undefined {
  // Helm keeps its own notes in a namespace that must be there before the chart is.
  if (variant.object.kind === "Namespace") return ".Values.createNamespace";
  if (isCommon(variant)) return undefined;
  return `has .Values.profile (list ${variant.profiles.map((profile) => JSON.stringify(profile)).join(" ")})`;
}

function chart(): string {
  return yamlFile({
    apiVersion: "v2",
    name: "lateen",
    description: "A service mesh in TypeScript that takes Istio's YAML",
    type: "application",
    version: RELEASE,
    appVersion: RELEASE,
    kubeVersion: ">=1.30.0-0",
  });
}

function values(): string {
  const defaults = settingsOf("default");
  const tree: Record<string, unknown> = { profile: "default", createNamespace: false };
  for (const [path, setting] of TEXT_SETTINGS) assign(tree, path.split("."), defaults[setting]);
  return yamlFile(tree);
}

function valuesSchema(): Record<string, unknown> {
  const root = { type: "object", additionalProperties: false, properties: {} as Record<string, unknown> };
  root.properties.profile = { enum: PROFILES };
  root.properties.createNamespace = { type: "boolean" };
  // Helm puts it there for charts of charts.
  root.properties.global = { type: "object", additionalProperties: false, properties: {} };
  for (const [path, setting] of TEXT_SETTINGS) {
    const names = path.split(".");
    let node = root.properties;
    for (const name of names.slice(0, -1)) {
      node[name] ??= { type: "object", additionalProperties: false, properties: {} };
      node = (node[name] as { properties: Record<string, unknown> }).properties;
    }
    node[names.at(-1) ?? ""] = { type: "string", pattern: SETTING_FORMS[setting].source };
  }
  return { $schema: "http://json-schema.org/draft-07/schema#", ...root };
}

function assign(tree: Record<string, unknown>, [name = "", ...rest]: readonly string[], value: string): void {
  if (rest.length === 0) tree[name] = value;
  else {
    tree[name] ??= {};
    assign(tree[name] as Record<string, unknown>, rest, value);
  }
}
