import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { codes } from "./errors.ts";
import { validationReference } from "./testing/reference.ts";

const PAGE = join(import.meta.dirname, "../../../docs/reference/validation.md");
const BEGIN = "<!-- generated: UPDATE_DOCS=1 npx vitest run src/errors.test.ts, in libs/mesh-model -->\n";

it("every code is used once and lies in this lib's range", () => {
  const values = Object.values(codes);
  expect(new Set(values).size).toBe(values.length);
  for (const code of values) expect(code).toMatch(/^LTN1\d{3}$/);
});

it("the reference page lists what the code says", () => {
  const page = readFileSync(PAGE, "utf8");
  const start = page.indexOf(BEGIN) + BEGIN.length;
  expect(start).toBeGreaterThan(BEGIN.length);
  if (process.env.UPDATE_DOCS === "1") writeFileSync(PAGE, page.slice(0, start) + validationReference());
  expect(readFileSync(PAGE, "utf8").slice(start)).toBe(validationReference());
});
