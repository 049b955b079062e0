import { describe, expect, it } from "vitest";
import { LateenError, messageOf } from "./errors.ts";
import { collectResults, err, expectOk, mapResult, ok } from "./result.ts";
import { Secret } from "./secret.ts";

describe("Result", () => {
  it("maps a success and leaves a failure alone", () => {
    const failure = err("no");
    expect(mapResult(ok(2), (value) => value * 2)).toEqual(ok(4));
    expect(mapResult(failure, () => 1)).toBe(failure);
  });

  it.each([
    ["all values", [ok(1), ok(2)], ok([1, 2])],
    ["all failures", [ok(1), err("a"), err("b")], err(["a", "b"])],
    ["nothing", [], ok([])],
  ])("collects %s", (_, results, expected) => {
    expect(collectResults(results)).toEqual(expected);
  });

  it("throws at an edge what the caller makes of the failure", () => {
    expect(expectOk(ok(1), (reason) => new Error(String(reason)))).toBe(1);
    expect(() => expectOk(err("why"), (reason) => new RangeError(reason))).toThrow(RangeError);
  });
});

describe("LateenError", () => {
  it("describes itself with hint and code, and keeps its cause", () => {
    const cause = new Error("root");
    const error = new LateenError({ code: "LTN1001", fault: "user", message: "it is so", hint: "mend it", cause });
    expect(error.describe()).toBe("it is so. mend it (LTN1001)");
    expect(messageOf(error)).toBe("it is so. mend it (LTN1001)");
    expect(error).toMatchObject({ name: "LateenError", retryable: false, detail: {}, cause });
    expect(new LateenError({ code: "LTN1001", fault: "peer", message: "m" }).describe()).toBe("m (LTN1001)");
  });

  it.each([
    [new Error("plain"), "plain"],
    ["text", "text"],
    [undefined, "undefined"],
    [{ toString: (): string => "object" }, "object"],
  ])("messageOf reads %j", (thrown, expected) => {
    expect(messageOf(thrown)).toBe(expected);
  });
});

it("a Secret shows itself to nobody who does not ask", async () => {
  const { inspect } = await import("node:util");
  const secret = new Secret("hunter2");
  expect([String(secret), JSON.stringify({ secret }), inspect({ secret }), `${secret}`].join()).not.toContain(
    "hunter2",
  );
  expect(secret.revealSecret()).toBe("hunter2");
  expect(Object.values(secret)).toEqual([]);
});
