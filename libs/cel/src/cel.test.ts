import { describe, expect, it } from "vitest";
import { celProblem } from "./attributes.ts";
import { type Attributes, compileCel } from "./compile.ts";
import { CelDuration, type CelMap, CelTimestamp, textOf } from "./values.ts";

const headers: CelMap = { get: (name) => ({ "x-a": "one", agent: "curl/8" })[name] };
const attributes: Attributes<{ readonly code: bigint }> = {
  "response.code": { type: "int", read: ({ code }) => code },
  "response.absent": { type: "int", read: () => undefined },
  "request.path": { type: "string", read: () => "/api/v1/users" },
  "request.headers": { type: "map", read: () => headers },
  "request.time": { type: "timestamp", read: () => new CelTimestamp(Date.UTC(2026, 0, 2)) },
  "request.duration": { type: "duration", read: () => new CelDuration(1500) },
  mtls: { type: "bool", read: () => true },
};
const evaluate = (text: string) => compileCel(text, attributes).evaluate({ code: 503n });

describe("an expression has the value that the language says", () => {
  it.each<[string, unknown]>([
    ["response.code >= 400", true],
    ["response.code / 100 == 5", true],
    ["response.code % 100", 3n],
    ["-response.code + 1", -502n],
    ["response.code == 503.0", true],
    ["1.5 + 0.25", 1.75],
    ["7 / 2", 3n],
    ["0x1F", 31n],
    ["1 + 2 * 3 == 7 && !(2 > 3)", true],
    ["true ? 'a' : 'b'", "a"],
    ["false ? 1 : false ? 2 : 3", 3n],
    ["'a' + \"b\"", "ab"],
    ["r'\\d' + '''it's''' + '\\x41\\u00e9\\n'", "\\dit'sAé\n"],
    ["request.path.startsWith('/api') && request.path.endsWith('users')", true],
    ["request.path.contains('v2')", false],
    ["request.path.matches('v[0-9]+/')", true],
    ["request.headers['x-a']", "one"],
    ["request.headers.agent", "curl/8"],
    ["'x-a' in request.headers", true],
    ["'x-b' in request.headers", false],
    ["response.code in [500, 503]", true],
    ["[1, 'a', true][1]", "a"],
    ["size('né') + size([1, 2])", 4n],
    ["string(response.code) + string(true) + string(1.5)", "503true1.5"],
    ["int('12') + int(2.9)", 14n],
    ["double('2.5')", 2.5],
    ["request.duration > duration('1s') && request.duration < duration('1m30s')", true],
    ["request.time == timestamp('2026-01-02T00:00:00Z')", true],
    ["string(request.time + duration('1s') - request.time)", "1s"],
    ["int(request.time)", BigInt(Date.UTC(2026, 0, 2) / 1000)],
    ["has(request.headers.agent) && !has(request.headers.other)", true],
    ["has(response.absent)", false],
    ["mtls || response.absent == 1", true],
    ["response.absent == 1 || mtls", true],
    ["response.absent == 1 && false", false],
    ["null == null", true],
    ["// comment\n true", true],
  ])("%s", (text, expected) => {
    expect(evaluate(text)).toEqual(expected);
  });
});

describe("an expression has no value", () => {
  it.each([
    "response.absent",
    "response.absent + 1 == 2",
    "response.absent == 1 || false",
    "!(response.absent == 1)",
    "request.headers['nothing'] == 'x'",
    "response.code / 0",
    "response.code % 0",
    "9223372036854775807 + 1",
    "[1][3]",
    "[1]['a' == 'a' ? 0 : 7] + 'x'",
    "int(request.path)",
    "response.absent == 1 ? 1 : 2",
  ])("%s", (text) => {
    expect(evaluate(text)).toBeUndefined();
  });
});

describe("what cannot be evaluated is refused", () => {
  it.each([
    ["", "it is empty"],
    ["response.code >", "it ends too early"],
    ["response.code > 1)", 'unexpected ")" at character 18'],
    ["a.b", '"a.b" is not an attribute that is known here'],
    ["request.nothing", '"request.nothing" is not an attribute'],
    ["request", '"request" is not an attribute'],
    ["toString", '"toString" is not an attribute'],
    ["response.code + 'a'", '"+" cannot join int and string'],
    ["response.code + 1.0", '"+" cannot join int and double'],
    ["response.code == 'a'", '"==" cannot join int and string'],
    ["response.code && true", '"&&" joins bools, not a int'],
    ["!response.code", '"!" stands before a int'],
    ["[1].exists(x, x == 1)", '"x" is not an attribute'],
    ["request.path.all('a')", "macro all() is not supported"],
    ["request.path.lowerAscii()", "function lowerAscii() is not supported"],
    ["startsWith('a', 'b')", "function startsWith() is not supported"],
    ["constructor('a')", "function constructor() is not supported"],
    ["request.path.matches('(')", '"(" is not a regular expression'],
    ["request.path.matches(request.path)", "matches() takes a pattern that is written out"],
    ["request.path.startsWith(1)", "startsWith() does not take a int"],
    ["duration('soon')", "duration() has no result"],
    ["b'x'", "bytes (character 1) are not supported"],
    ["{'a': 1}", "maps cannot be written here"],
    ["1u", '"1u" at character 1 is not a number'],
    ["'open", "the text at character 1 has no end"],
    ["'\\q'", '"\\q" at character 2 is not an escape'],
    ["a # b", 'unexpected "#" at character 3'],
    ["has('a')", "has() takes one field"],
    [`${"(".repeat(65)}1${")".repeat(65)}`, "it is nested deeper than 64"],
    [`${"!".repeat(65)}true`, "it is nested deeper than 64"],
    ["x".repeat(4097), "it is longer than 4096 characters"],
  ])("%s", (text, message) => {
    expect(() => compileCel(text, attributes)).toThrow(message);
  });
});

describe("for its use", () => {
  it.each([
    ["response.code > 399", "condition", undefined],
    ["response.code", "condition", "it gives a int, which is no condition"],
    ["request.headers", "label", "it gives a map, which is no label"],
    ["string(destination.port)", "label", undefined],
    ["filter_state.downstream_peer.app + upstream_peer.app", "label", undefined],
    ["downstream_peer.nothing", "label", '"downstream_peer.nothing" is not an attribute that is known here'],
  ] as const)("%s as %s: %s", (text, use, problem) => {
    expect(celProblem(text, use)).toBe(problem);
  });
});

it("writes values as text", () => {
  expect([503n, 1.5, true, "a", new CelDuration(1500), new CelTimestamp(0), null, [1n], headers].map(textOf)).toEqual([
    "503",
    "1.5",
    "true",
    "a",
    "1.5s",
    "1970-01-01T00:00:00Z",
    undefined,
    undefined,
    undefined,
  ]);
});
