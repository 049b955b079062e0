import { stringify } from "yaml";
import { isObject, objectOf, sameJson } from "../json.ts";
import { fieldOf, textFrom } from "./text-expression.ts";

/** A function of a template. @throws Error with what is wrong with its arguments. */
export type TemplateFunction = (...args: readonly unknown[]) => unknown;

/** Whether a value counts as true: not empty, not zero, not false. */
export function truth(value: unknown): boolean {
  if (Array.isArray(value)) return value.length > 0;
  if (isObject(value)) return Object.keys(value).length > 0;
  return value !== undefined && value !== null && value !== false && value !== 0 && value !== "";
}

/** Go's own functions, and of Sprig and Istio what templates of sidecars use. `data` is what the template is rendered with. */
export function functions(data: unknown): ReadonlyMap<string, TemplateFunction> {
  return new Map<string, TemplateFunction>([...logic, ...texts, ...collections, ...ofIstio(data)]);
}

const number = (value: unknown): number => Number(value);
const text = textFrom;

const logic: readonly (readonly [string, TemplateFunction])[] = [
  ["and", (...values) => values.find((value) => !truth(value)) ?? values.at(-1)],
  ["or", (...values) => values.find(truth) ?? values.at(-1)],
  ["not", (value) => !truth(value)],
  ["eq", (first, ...others) => others.some((other) => sameJson(first, other))],
  ["ne", (a, b) => !sameJson(a, b)],
  ["lt", (a, b) => number(a) < number(b)],
  ["le", (a, b) => number(a) <= number(b)],
  ["gt", (a, b) => number(a) > number(b)],
  ["ge", (a, b) => number(a) >= number(b)],
  ["default", (fallback, value) => (truth(value) ? value : fallback)],
  ["valueOrDefault", (value, fallback) => (truth(value) ? value : fallback)],
  ["coalesce", (...values) => values.find(truth)],
  ["empty", (value) => !truth(value)],
  ["ternary", (yes, no, condition) => (truth(condition) ? yes : no)],
  ["add", (...values) => values.reduce<number>((sum, value) => sum + number(value), 0)],
];

const texts: readonly (readonly [string, TemplateFunction])[] = [
  ["print", (...values) => values.map(text).join("")],
  ["printf", (format, ...values) => formatted(text(format), values)],
  ["quote", (...values) => values.map((value) => JSON.stringify(text(value))).join(" ")],
  ["squote", (...values) => values.map((value) => `'${text(value)}'`).join(" ")],
  ["lower", (value) => text(value).toLowerCase()],
  ["upper", (value) => text(value).toUpperCase()],
  ["trim", (value) => text(value).trim()],
  [
    "trimSuffix",
    (suffix, value) =>
      text(value).endsWith(text(suffix)) ? text(value).slice(0, text(value).length - text(suffix).length) : value,
  ],
  [
    "trimPrefix",
    (prefix, value) => (text(value).startsWith(text(prefix)) ? text(value).slice(text(prefix).length) : value),
  ],
  ["replace", (from, to, value) => text(value).replaceAll(text(from), text(to))],
  ["contains", (part, value) => text(value).includes(text(part))],
  ["hasPrefix", (part, value) => text(value).startsWith(text(part))],
  ["hasSuffix", (part, value) => text(value).endsWith(text(part))],
  ["indent", (spaces, value) => indented(number(spaces), text(value))],
  ["nindent", (spaces, value) => `\n${indented(number(spaces), text(value))}`],
  ["toYaml", (value) => stringify(value ?? null, { lineWidth: 0 }).trimEnd()],
  ["toJson", (value) => JSON.stringify(value ?? null)],
  ["toJSON", (value) => JSON.stringify(value ?? null)],
  ["structToJSON", (value) => JSON.stringify(value ?? null)],
  ["protoToJSON", (value) => JSON.stringify(value ?? null)],
  ["fromJSON", (value) => JSON.parse(text(value)) as unknown],
  ["toString", (value) => text(value)],
  ["int", (value) => Math.trunc(number(value)) || 0],
];

const collections: readonly (readonly [string, TemplateFunction])[] = [
  [
    "len",
    (value) => (Array.isArray(value) ? value.length : isObject(value) ? Object.keys(value).length : text(value).length),
  ],
  ["index", (value, ...keys) => keys.reduce(item, value)],
  ["list", (...values) => values],
  ["first", (value) => (Array.isArray(value) ? value[0] : undefined)],
  ["last", (value) => (Array.isArray(value) ? value.at(-1) : undefined)],
  [
    "dict",
    (...pairs) => Object.fromEntries(pairs.flatMap((key, at) => (at % 2 === 0 ? [[text(key), pairs[at + 1]]] : []))),
  ],
  ["hasKey", (value, key) => isObject(value) && Object.hasOwn(value, text(key))],
  ["isset", (value, key) => isObject(value) && Object.hasOwn(value, text(key))],
  ["keys", (value) => Object.keys(objectOf(value)).sort()],
  [
    "omit",
    (value, ...keys) => Object.fromEntries(Object.entries(objectOf(value)).filter(([name]) => !keys.includes(name))),
  ],
  ["join", (separator, values) => (Array.isArray(values) ? values.map(text).join(text(separator)) : text(values))],
  ["splitList", (separator, value) => text(value).split(text(separator))],
  ["has", (value, values) => Array.isArray(values) && values.some((each) => sameJson(each, value))],
];

function ofIstio(data: unknown): readonly (readonly [string, TemplateFunction])[] {
  const annotations = objectOf(fieldOf(fieldOf(data, "ObjectMeta"), "Annotations"));
  return [
    // `annotation .ObjectMeta "name" default`: the pod's word first.
    ["annotation", (meta, name, fallback) => objectOf(fieldOf(meta, "Annotations"))[text(name)] ?? text(fallback)],
    ["env", (name, fallback) => fieldOf(fieldOf(data, "Environment"), text(name)) ?? fallback],
    ["podAnnotation", (name) => annotations[text(name)]],
  ];
}

function item(value: unknown, key: unknown): unknown {
  if (Array.isArray(value)) {
    const index = number(key);
    if (!(index >= 0 && index < value.length)) throw new Error(`there is no item ${text(key)}`);
    return value[index];
  }
  return isObject(value) && Object.hasOwn(value, text(key)) ? value[text(key)] : undefined;
}

function indented(spaces: number, value: string): string {
  const space = " ".repeat(Math.min(Math.max(spaces || 0, 0), 200));
  return value
    .split("\n")
    .map((line) => space + line)
    .join("\n");
}

/** The verbs that templates use: %s %v %d %q %t %%. */
function formatted(format: string, values: readonly unknown[]): string {
  let at = 0;
  return format.replaceAll(/%(.)/g, (_, verb: string) => {
    if (verb === "%") return "%";
    const value = values[at++];
    if (verb === "q") return JSON.stringify(text(value));
    if (verb === "d") return String(Math.trunc(number(value)));
    if (verb === "s" || verb === "v" || verb === "t") return text(value);
    throw new Error(`%${verb} is not known`);
  });
}

/** The names of all functions. */
export const functionNames: ReadonlySet<string> = new Set(functions({}).keys());
