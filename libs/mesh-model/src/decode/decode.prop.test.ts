import fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import { type KindName, kindDefinition, kinds } from "../kinds/index.ts";
import type { SchemaNode } from "../schema/index.ts";
import { bookinfoTraffic, bookinfoWorkloads } from "../testing/bookinfo.ts";
import { istioIdioms } from "../testing/idioms.ts";
import { decodeObject, decodeText } from "./decode.ts";
import { encodeObject } from "./encode.ts";
import { splitDocuments } from "./split.ts";

vi.setConfig({ testTimeout: 60_000 });

const ORIGIN = { file: "f", line: 1, column: 1 };
const origins = (text: string) =>
  decodeText({ file: "f", text }).flatMap((document) => [
    document.origin,
    ...(document.ok ? document.warnings : document.diagnostics).map((diagnostic) => diagnostic.origin),
  ]);

/** Text that looks like YAML often enough to get past the first line. */
const yamlish = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        "apiVersion: v1",
        "kind: Service",
        "kind: List",
        "items:",
        "metadata:",
        "spec:",
        "---",
        "...",
        "- ",
        "  ",
        "\t",
        "{",
        "}",
        "[",
        "]",
        "&a",
        "*a",
        "<<: ",
        "!!",
        "|",
        ">",
        "#",
        "? ",
        ": ",
        '"',
        "'",
        "%",
        "@",
        "\r\n",
        "\u0000",
        "\uFEFF",
        "__proto__: ",
      ),
      fc.string({ maxLength: 6 }),
    ),
    { maxLength: 40 },
  )
  .chain((parts) => fc.constantFrom("\n", "", " ").map((glue) => parts.join(glue)));

describe("whatever the text", () => {
  it("decoding gives documents with places inside it, and never throws", () => {
    fc.assert(
      fc.property(yamlish, (text) => {
        const lines = text.split("\n").length;
        for (const { line, column } of origins(text)) {
          expect(line).toBeGreaterThanOrEqual(1);
          expect(line).toBeLessThanOrEqual(lines + 1);
          expect(column).toBeGreaterThanOrEqual(1);
        }
      }),
      { numRuns: 400 },
    );
  });

  it("bytes that are no text are survived", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        decodeText({ file: "f", text: new TextDecoder().decode(bytes) });
      }),
      { numRuns: 300 },
    );
  });

  it("a good file with one character changed is survived, and the other documents stay", () => {
    const documents = splitDocuments(`${bookinfoTraffic}\n---\n${istioIdioms}`);
    fc.assert(
      fc.property(
        fc.nat(documents.length - 1),
        fc.nat(),
        fc.constantFrom(..."{}[]:&*!|>'\"%@`#,\t\n x0"),
        (index, at, char) => {
          const texts = documents.map((document) => document.text.replace(/^---.*\n/, ""));
          const broken = texts[index] ?? "";
          const cut = at % Math.max(broken.length, 1);
          texts[index] = broken.slice(0, cut) + char + broken.slice(cut + 1);
          const good = decodeText({ file: "f", text: texts.join("\n---\n") }).filter((document) => document.ok);
          expect(good.length).toBeGreaterThanOrEqual(texts.length - 1);
        },
      ),
      { numRuns: 60 },
    );
  });
});

describe("whatever the JSON", () => {
  it("decoding never throws, and what it accepts encodes to itself", () => {
    const header = fc.record({
      apiVersion: fc.constantFrom("v1", "apps/v1", "networking.istio.io/v1", "security.istio.io/v1"),
      kind: fc.constantFrom(...Object.keys(kinds)),
      metadata: fc.oneof(fc.constant({ name: "a" }), fc.jsonValue()),
    });
    fc.assert(
      fc.property(header, fc.jsonValue(), fc.jsonValue(), (head, spec, data) => {
        const decoded = decodeObject({ ...head, spec, data }, ORIGIN);
        if (decoded.ok)
          expect(decodeObject(encodeObject(decoded.object), ORIGIN)).toMatchObject({ object: decoded.object });
      }),
      { numRuns: 300 },
    );
  });

  it.each(Object.keys(kinds) as KindName[])(
    "%s: values that fit the schema never crash the rules, and round trip",
    (kind) => {
      const definition = kindDefinition(kind);
      const apiVersion =
        definition.group === "" ? definition.versions[0] : `${definition.group}/${definition.versions[0]}`;
      fc.assert(
        fc.property(arbitraryOf(definition.body), (body) => {
          const value = {
            apiVersion,
            kind: definition.writtenAs ?? kind,
            metadata: { name: "a" },
            ...(body as object),
          };
          const decoded = decodeObject(value, ORIGIN);
          if (!decoded.ok) {
            expect(decoded.diagnostics.some((diagnostic) => diagnostic.level === "error")).toBe(true);
            return;
          }
          const written = encodeObject(decoded.object);
          const again = decodeObject(written, ORIGIN);
          expect(again.ok && again.object).toEqual(decoded.object);
          expect(again.ok && JSON.stringify(encodeObject(again.object))).toBe(JSON.stringify(written));
        }),
        { numRuns: 60 },
      );
    },
  );
});

it("the order of fields does not show in what is encoded", () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...decodeText({ file: "f", text: bookinfoWorkloads })),
      fc.infiniteStream(fc.nat()),
      (document, picks) => {
        if (!document.ok) throw new Error("a sample does not decode");
        const shuffled = decodeObject(shuffle(encodeObject(document.object), picks), ORIGIN);
        expect(shuffled.ok && JSON.stringify(encodeObject(shuffled.object))).toBe(
          JSON.stringify(encodeObject(document.object)),
        );
      },
    ),
    { numRuns: 50 },
  );
});

function shuffle(value: unknown, picks: Iterator<number>): unknown {
  if (Array.isArray(value)) return value.map((item) => shuffle(item, picks));
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).map(([name, inner]) => ({ name, inner, rank: picks.next().value as number }));
  return Object.fromEntries(
    entries.sort((a, b) => a.rank - b.rank).map(({ name, inner }) => [name, shuffle(inner, picks)]),
  );
}

/** Values a schema allows, leaning towards those that get far. */
function arbitraryOf(schema: SchemaNode): fc.Arbitrary<unknown> {
  switch (schema.type) {
    case "string":
      return fc.oneof(
        fc.constantFrom(
          "a",
          "a.example.com",
          "*.example.com",
          "10.0.0.1",
          "10.0.0.0/8",
          "/a",
          "*",
          "http",
          "HTTP",
          "ns/a",
          "",
        ),
        fc.string({ maxLength: 8 }),
      );
    case "boolean":
      return fc.boolean();
    case "number": {
      const { integer, min = -5, max = 100_000 } = schema;
      return integer
        ? fc.integer({ min: Math.max(min, -5), max: Math.min(max, 100_000) })
        : fc.double({ min, max, noNaN: true });
    }
    case "enum":
      return fc.constantFrom(...schema.values);
    case "duration":
      return fc.constantFrom("0s", "1s", "1.5s", "1h5m", "250ms");
    case "intOrString":
      return fc.oneof(fc.integer({ min: 1, max: 65535 }), fc.constant("web"));
    case "any":
      return fc.jsonValue({ maxDepth: 2 }).filter((value) => !JSON.stringify(value).includes("__proto__"));
    case "array":
      return fc.array(arbitraryOf(schema.items), { maxLength: 2 });
    case "map":
      return fc.dictionary(fc.constantFrom("a", "x-b", "80", "app.kubernetes.io/name"), arbitraryOf(schema.values), {
        maxKeys: 2,
      });
    case "object": {
      const fields: Record<string, fc.Arbitrary<unknown>> = {};
      const required: string[] = [];
      for (const [name, field] of Object.entries(schema.fields)) {
        if (field.unsupported !== undefined) continue;
        if (field.required) required.push(name);
        fields[name] = arbitraryOf(field.schema);
      }
      return fc.record(fields, { requiredKeys: required });
    }
  }
}
