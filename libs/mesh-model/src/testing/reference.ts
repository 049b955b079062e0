import { findings } from "../analysis/messages.ts";
import { meshConfigSchema } from "../config/schema.ts";
import { codeMeanings, codes } from "../errors.ts";
import { kinds } from "../kinds/index.ts";
import type { SchemaNode } from "../schema/index.ts";

/** The generated part of docs/reference/validation.md. */
export function validationReference(): string {
  return [
    "## Codes of one object",
    "",
    table(
      ["Code", "Meaning"],
      Object.entries(codes).map(([name, code]) => [code, codeMeanings[name as keyof typeof codes]]),
    ),
    "",
    "## Findings across objects",
    "",
    table(
      ["Code", "Name", "Severity"],
      Object.entries(findings).map(([code, { name, severity }]) => [code, name, severity]),
    ),
    "",
    "## Kinds, and what of them is refused for now",
    "",
    table(
      ["Kind", "API versions", "Refused fields (LTN1007)"],
      [
        ...Object.entries(kinds).map(([kind, { group, versions, body }]) => {
          const apiVersions = versions.map((version) => `\`${group === "" ? version : `${group}/${version}`}\``);
          return [kind, apiVersions.join(", "), refusedFields(body, "").join(", ")];
        }),
        ["mesh configuration", "ConfigMap `istio`, key `mesh`", refusedFields(meshConfigSchema, "").join(", ")],
      ],
    ),
    "",
  ].join("\n");
}

function refusedFields(schema: SchemaNode, path: string): readonly string[] {
  switch (schema.type) {
    case "array":
      return refusedFields(schema.items, `${path}[]`);
    case "map":
      return refusedFields(schema.values, `${path}{}`);
    case "object":
      return Object.entries(schema.fields).flatMap(([name, field]) => {
        const inner = path === "" ? name : `${path}.${name}`;
        return field.unsupported === undefined ? refusedFields(field.schema, inner) : [`\`${inner}\``];
      });
    default:
      return [];
  }
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell || "–").join(" | ")} |`;
  return [line(head), `|${head.map(() => "---").join("|")}|`, ...rows.map(line)].join("\n");
}
