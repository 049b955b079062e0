import { expect, it } from "vitest";
import { parseRejected } from "./rejected.ts";

it("reads galley's answer: the errors of an object in one text, at the line of the first", () => {
  const answer = {
    revision: 3,
    rejected: [
      {
        kind: "VirtualService",
        namespace: "default",
        name: "reviews",
        file: "rules.yaml",
        diagnostics: [
          { level: "warning", message: "old field", path: "spec", origin: { line: 3 } },
          {
            level: "error",
            message: "unknown field",
            path: "spec.htp",
            hint: "did you mean http?",
            origin: { line: 8 },
          },
          { level: "error", message: "no hosts", path: "", origin: { line: 5 } },
        ],
      },
    ],
  };
  expect(parseRejected(answer)).toEqual([
    {
      kind: "VirtualService",
      namespace: "default",
      name: "reviews",
      file: "rules.yaml",
      line: 8,
      message: "spec.htp: unknown field; did you mean http?; no hosts",
    },
  ]);
});

it.each([undefined, null, "text", {}, { rejected: 3 }])("reads nothing out of %j", (answer) => {
  expect(parseRejected(answer)).toEqual([]);
});
