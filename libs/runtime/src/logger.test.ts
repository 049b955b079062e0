import { LateenError } from "@lateen/kernel";
import { expect, it } from "vitest";
import { createAdjustableLogger, createLogger } from "./logger.ts";

function recorder(format: "json" | "pretty", level?: "debug" | "warn") {
  const lines: string[] = [];
  const write = (line: string) => void lines.push(line);
  return { lines, logger: createLogger({ name: "demo", format, write, ...(level ? { level } : {}) }) };
}

it("writes one JSON object a line with level, time and event", () => {
  const { lines, logger } = recorder("json");
  logger.child({ proxy: "a" }).info({ event: "push.sent", bytes: 3 });
  expect(JSON.parse(lines[0]!)).toMatchObject({
    level: "info",
    name: "demo",
    event: "push.sent",
    proxy: "a",
    bytes: 3,
  });
});

it("redacts secrets and shows error codes", () => {
  const { lines, logger } = recorder("json");
  const error = new LateenError({ code: "LTN6998", fault: "system", message: "broke" });
  logger.error({ event: "x", token: "t0p", request: { authorization: "Bearer t0p" }, error });
  expect(lines[0]).not.toContain("t0p");
  expect(JSON.parse(lines[0]!).error).toMatchObject({ code: "LTN6998", message: "broke" });
});

it("keeps to its level", () => {
  const { lines, logger } = recorder("json", "warn");
  logger.info({ event: "quiet" });
  logger.warn({ event: "loud" });
  expect(lines).toHaveLength(1);
});

it("has a readable form", () => {
  const { lines, logger } = recorder("pretty");
  logger.info({ event: "up", port: 1 });
  expect(lines[0]).toContain("demo up");
  expect(lines[0]!.endsWith("\n")).toBe(true);
});

it("changes its level, also for children made before", () => {
  const lines: string[] = [];
  const { logger, setLevel } = createAdjustableLogger({
    name: "demo",
    format: "json",
    write: (l) => void lines.push(l),
  });
  const child = logger.child({ part: "a" });
  child.debug({ event: "before" });
  setLevel("debug");
  child.debug({ event: "after" });
  setLevel("silent");
  child.error({ event: "never" });
  expect(lines.map((line) => JSON.parse(line).event)).toEqual(["after"]);
});
