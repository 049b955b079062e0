import { kindDefinition, kindNameOf, type ObjectNode, type SchemaNode } from "@lateen/mesh-model";
import { HOSTILE_DURATIONS, HOSTILE_NUMBERS, HOSTILE_TEXTS } from "./hostile-values.ts";

/** An object of which one place is not what its author had in mind. It may still be legal. */
export interface Mutation {
  /** Kind and place of what was changed, as in a schema: `VirtualService spec.hosts[]`. */
  readonly place: string;
  readonly value: unknown;
  readonly document: unknown;
  /** How many levels above the place the object did not have. */
  readonly invented: number;
}

type Path = readonly (string | number)[];
type Json = Readonly<Record<string, unknown>>;

/** How deep parts that an object does not have are made up. */
const INVENTED_DEPTH = 4;

/**
 * Every hostile value in every place of an object that its kind's schema knows, each in a copy of the object: places that are written,
 * and places that could be.
 */
export function* mutationsOf(document: Json): Generator<Mutation> {
  const kind = kindNameOf(String(document.apiVersion).split("/").slice(0, -1).join("/"), String(document.kind));
  if (kind === undefined) return;
  for (const { place, path, value, depth } of walk(kindDefinition(kind).body, document, {
    place: "",
    path: [],
    depth: 0,
  })) {
    yield { place: `${kind} ${place}`, value, document: replaced(document, path, value), invented: depth };
  }
}

interface At {
  readonly place: string;
  readonly path: Path;
  /** How many levels above are made up. */
  readonly depth: number;
}
interface Change extends At {
  readonly value: unknown;
}

function* walk(schema: SchemaNode, value: unknown, at: At): Generator<Change> {
  switch (schema.type) {
    case "object":
      yield* walkObject(schema, value, at);
      return;
    case "array":
      yield* walkArray(schema.items, value, at);
      return;
    case "map":
      yield* walkMap(schema.values, value, at);
      return;
    default:
      for (const hostile of valuesOf(schema)) yield { ...at, value: hostile };
  }
}

function* walkObject(schema: ObjectNode, value: unknown, at: At): Generator<Change> {
  const known = (typeof value === "object" && value !== null ? value : {}) as Json;
  if (value !== undefined) yield { ...at, value: {} };
  for (const [name, field] of Object.entries(schema.fields)) {
    if (field.unsupported !== undefined || name === "status") continue;
    const inner = known[name];
    const depth = inner === undefined ? at.depth + 1 : at.depth;
    if (depth > INVENTED_DEPTH) continue;
    const place = at.place === "" ? name : `${at.place}.${name}`;
    yield* walk(field.schema, inner, { place, path: [...at.path, name], depth });
  }
}

function* walkArray(items: SchemaNode, value: unknown, at: At): Generator<Change> {
  const known = Array.isArray(value) ? (value as readonly unknown[]) : [];
  if (known.length > 0) {
    yield { ...at, value: [] };
    yield { ...at, value: [...known, ...known] };
  }
  const place = `${at.place}[]`;
  const indexes = known.length === 0 ? [0] : known.keys();
  for (const index of indexes) yield* walk(items, known[index], { place, path: [...at.path, index], depth: at.depth });
}

function* walkMap(values: SchemaNode, value: unknown, at: At): Generator<Change> {
  const known = (typeof value === "object" && value !== null ? value : {}) as Json;
  const [first] = Object.values(known);
  const place = `${at.place}{}`;
  for (const name of Object.keys(known).length === 0 ? ["a"] : Object.keys(known)) {
    yield* walk(values, known[name], { place, path: [...at.path, name], depth: at.depth });
  }
  const sample = first ?? sampleOf(values);
  for (const name of HOSTILE_TEXTS) {
    if (name !== "__proto__") yield { ...at, place: `${place} name`, value: { ...known, [name]: sample } };
  }
}

function sampleOf(schema: SchemaNode): unknown {
  switch (schema.type) {
    case "string":
      return "a";
    case "number":
      return 1;
    case "boolean":
      return true;
    case "duration":
      return "1s";
    case "enum":
      return schema.values[0];
    case "array":
      return [];
    default:
      return {};
  }
}

function valuesOf(schema: SchemaNode): readonly unknown[] {
  switch (schema.type) {
    case "string":
      return HOSTILE_TEXTS;
    case "intOrString":
      return [...HOSTILE_NUMBERS, ...HOSTILE_TEXTS];
    case "number":
      return HOSTILE_NUMBERS;
    case "duration":
      return HOSTILE_DURATIONS;
    case "boolean":
      return [true, false];
    case "enum":
      return schema.values;
    default:
      return [{}, [], "a", 1];
  }
}

/** A copy in which one place holds another value; what is on the way there and missing is made. */
function replaced(document: unknown, [first, ...rest]: Path, value: unknown): unknown {
  if (first === undefined) return value;
  if (typeof first === "number") {
    const list = Array.isArray(document) ? [...(document as readonly unknown[])] : [];
    list[first] = replaced(list[first], rest, value);
    return list;
  }
  const known = typeof document === "object" && document !== null ? (document as Json) : {};
  return { ...known, [first]: replaced(known[first], rest, value) };
}
