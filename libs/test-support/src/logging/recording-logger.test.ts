import { expect, it } from "vitest";
import { recordingLogger } from "./recording-logger.ts";

it("keeps lines with the fields of the child that wrote them", () => {
  const logger = recordingLogger();
  logger.info({ event: "a" });
  logger.child({ pod: "p" }).child({ peer: 1 }).warn({ event: "b", pod: "q" });
  expect(logger.lines).toEqual([
    { level: "info", event: "a" },
    { level: "warn", event: "b", pod: "q", peer: 1 },
  ]);
  expect(logger.of("b")).toHaveLength(1);
});
