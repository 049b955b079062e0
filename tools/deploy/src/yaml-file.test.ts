import { expect, it } from "vitest";
import { yamlText } from "./yaml-file.ts";

it("quotes texts that readers of YAML 1.1, such as kubectl, take for something else", () => {
  expect(yamlText({ args: ["--appendonly", "no", "on", "yes", "plain"] })).toBe(
    'args:\n  - --appendonly\n  - "no"\n  - "on"\n  - "yes"\n  - plain\n',
  );
});
