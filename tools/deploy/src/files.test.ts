import { resolve } from "node:path";
import { expect, it } from "vitest";
import { drift } from "./drift.ts";
import { generatedFiles } from "./files.ts";

it("the generated files of deploy/ are as `npm run manifests` writes them", () => {
  const { missing, different, stale } = drift(resolve(import.meta.dirname, "../../../deploy"), generatedFiles());
  expect({ missing, different, stale }).toEqual({ missing: [], different: [], stale: [] });
});
