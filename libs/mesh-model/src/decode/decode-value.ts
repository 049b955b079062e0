import { nearestName, parseDuration } from "@lateen/kernel";
import { codes } from "../errors.ts";
import type { EnumNode, FieldNode, NumberNode, ObjectNode, SchemaNode } from "../schema/index.ts";
import type { Check } from "../validation/check.ts";

/**
 * What to do about fields the schema does not list. `strict` (Istio's kinds): an error. `open` (Kubernetes' kinds, whose API
 * grows by itself): kept with a warning, unless the name is so close to a known one that it must be a typing error.
 */
export type UnknownFields = "strict" | "open";

/** What proxies can hold in nanoseconds is a little more: 285 years. */
const MAX_DURATION_MS = 9_000_000_000_000;

/** Reads a value by its schema. Every fault goes to `check`; what could not be read comes back as undefined. */
export function decodeValue(schema: SchemaNode, value: unknown, check: Check, unknown: UnknownFields): unknown {
  switch (schema.type) {
    case "any":
      return value;
    case "string":
      return typeof value === "string" ? value : wrongType(check, "a string", value);
    case "boolean":
      return typeof value === "boolean" ? value : wrongType(check, "true or false", value);
    case "number":
      return decodeNumber(schema, value, check);
    case "enum":
      return decodeEnum(schema, value, check);
    case "duration":
      return decodeDuration(value, check);
    case "intOrString":
      return typeof value === "string" || Number.isSafeInteger(value)
        ? value
        : wrongType(check, "an integer or a string", value);
    case "array":
      if (!Array.isArray(value)) return wrongType(check, "a list", value);
      return value.map((item, index) => decodeItem(schema.items, item, check.at(index), unknown));
    case "map":
      return decodeMap(schema.values, value, check, unknown);
    case "object":
      return decodeObjectValue(schema, value, check, unknown);
  }
}

/** Reads the fields of an object; see {@link decodeValue}. Fields come out in the schema's order. */
export function decodeObjectValue(
  schema: ObjectNode,
  value: unknown,
  check: Check,
  unknown: UnknownFields,
): Record<string, unknown> | undefined {
  if (!isRecord(value)) {
    wrongType(check, "a map", value);
    return undefined;
  }
  const result: Record<string, unknown> = {};
  for (const [name, field] of Object.entries(schema.fields)) {
    const given = Object.hasOwn(value, name) ? value[name] : undefined;
    if (given === undefined || given === null) {
      if (field.required) check.error(`field "${name}" is required`, { code: codes.missingField });
      continue;
    }
    const decoded = decodeField(name, field, given, check, unknown);
    if (decoded !== undefined) result[name] = decoded;
  }
  for (const name of Object.keys(value)) {
    if (Object.hasOwn(schema.fields, name)) continue;
    if (reportUnknown(name, Object.keys(schema.fields), check, unknown) && value[name] != null) {
      result[name] = value[name];
    }
  }
  return result;
}

function decodeField(name: string, field: FieldNode, given: unknown, check: Check, unknown: UnknownFields): unknown {
  if (field.unsupported === undefined) return decodeValue(field.schema, given, check.at(name), unknown);
  if (!isProtoDefault(given)) {
    check.at(name).error(`"${name}" cannot be used: ${field.unsupported}`, { code: codes.unsupported, part: "key" });
  }
  return undefined;
}

/** Writing a field's default asks for nothing, so it is no reason to refuse the object. */
function isProtoDefault(value: unknown): boolean {
  return value === false || value === 0 || value === "" || (Array.isArray(value) && value.length === 0);
}

/** Reports a field that is not in the schema. @returns whether to keep it. */
function reportUnknown(name: string, known: readonly string[], check: Check, unknown: UnknownFields): boolean {
  const typingError = unknown === "open" ? nearestName(name, known, name.length < 4 ? 1 : 2) : undefined;
  const nearest = typingError ?? nearestName(name, known);
  const hint = nearest === undefined ? undefined : `did you mean "${nearest}"?`;
  if (unknown === "strict" || typingError !== undefined || name === "__proto__") {
    check.at(name).error(`unknown field "${name}"`, { code: codes.unknownField, part: "key", hint });
    return false;
  }
  check.at(name).warn(`unknown field "${name}" is kept and not used`, { code: codes.unknownField, part: "key", hint });
  return true;
}

function decodeItem(schema: SchemaNode, item: unknown, check: Check, unknown: UnknownFields): unknown {
  if (item !== null && item !== undefined) return decodeValue(schema, item, check, unknown);
  if (schema.type === "any") return null;
  check.error("must not be empty", { code: codes.wrongType });
  return undefined;
}

function decodeMap(schema: SchemaNode, value: unknown, check: Check, unknown: UnknownFields): unknown {
  if (!isRecord(value)) return wrongType(check, "a map", value);
  const result: Record<string, unknown> = {};
  for (const [name, item] of Object.entries(value)) {
    if (name === "__proto__") check.error(`"__proto__" cannot be a name`);
    else result[name] = decodeItem(schema, item, check.at(name), unknown);
  }
  return result;
}

function decodeNumber(schema: NumberNode, value: unknown, check: Check): unknown {
  const kind = schema.integer ? "an integer" : "a number";
  if (typeof value !== "number" || !Number.isFinite(value)) return wrongType(check, kind, value);
  if (schema.integer && !Number.isSafeInteger(value)) return wrongType(check, kind, value);
  const { min, max } = schema;
  if ((min !== undefined && value < min) || (max !== undefined && value > max)) {
    const range =
      min !== undefined && max !== undefined
        ? `between ${min} and ${max}`
        : min !== undefined
          ? `at least ${min}`
          : `at most ${max}`;
    check.error(`must be ${range}, not ${value}`);
    return undefined;
  }
  return value;
}

function decodeEnum(schema: EnumNode, value: unknown, check: Check): unknown {
  if (typeof value !== "string") return wrongType(check, `one of ${schema.values.join(", ")}`, value);
  if (schema.values.includes(value)) return value;
  const replaced = schema.aliases && Object.hasOwn(schema.aliases, value) ? schema.aliases[value] : undefined;
  if (replaced !== undefined) return replaced;
  const nearest = nearestName(value, schema.values);
  check.error(`"${shorten(value)}" is not one of ${schema.values.join(", ")}`, {
    hint: nearest === undefined ? undefined : `did you mean ${nearest}?`,
  });
  return undefined;
}

function decodeDuration(value: unknown, check: Check): unknown {
  if (typeof value === "number") {
    check.error(`must be a duration with a unit, not the number ${value}`, {
      code: codes.wrongType,
      hint: `write "${value}s" for seconds`,
    });
    return undefined;
  }
  if (typeof value !== "string") return wrongType(check, `a duration such as "1.5s"`, value);
  const parsed = value.length > 64 ? undefined : parseDuration(value);
  if (parsed === undefined || !parsed.ok) {
    check.error(parsed === undefined ? `"${shorten(value)}" is not a duration` : parsed.error);
    return undefined;
  }
  if (parsed.value < 0 || parsed.value > MAX_DURATION_MS) {
    check.error(`duration "${value}" is out of range`);
    return undefined;
  }
  return value;
}

function wrongType(check: Check, wanted: string, value: unknown): undefined {
  const quotes = wanted === "a string" && (typeof value === "number" || typeof value === "boolean");
  check.error(`must be ${wanted}, not ${describe(value)}`, {
    code: codes.wrongType,
    hint: quotes ? "put it in quotes" : numericText(wanted, value) ? "remove the quotes" : undefined,
  });
  return undefined;
}

function numericText(wanted: string, value: unknown): boolean {
  return (
    (wanted === "an integer" || wanted === "a number") && typeof value === "string" && /^-?\d+(\.\d+)?$/.test(value)
  );
}

function describe(value: unknown): string {
  if (value === null || value === undefined) return "empty";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "a map";
  if (typeof value === "string") return `the string "${shorten(value)}"`;
  return typeof value === "number" ? `the number ${value}` : String(value);
}

function shorten(text: string): string {
  return text.length <= 80 ? text : `${text.slice(0, 77)}...`;
}

/** A JSON object, neither null nor a list. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
