import { expect, it } from "vitest";
import { movedPorts } from "./control/ports.ts";
import { isSettled, parseSynced, parseWarnings } from "./syncz.ts";

const answer = {
  proxies: [
    { namespace: "default", pod: "web-1", synced: true },
    { namespace: "default", pod: "web-2", synced: false },
  ],
  warnings: [
    {
      path: "spec",
      message: "port 80 is opaque",
      hint: "name it http",
      origin: { file: "a.yaml", line: 3, column: 1 },
    },
    {
      path: "spec",
      message: "port 80 is opaque",
      hint: "name it http",
      origin: { file: "a.yaml", line: 3, column: 1 },
    },
    { message: "no place" },
  ],
};

it("names the proxies that have what pilot sent", () => {
  expect(parseSynced(answer)).toEqual(new Set(["default/web-1"]));
  expect(parseSynced(undefined)).toEqual(new Set());
});

it("shows each of pilot's warnings once, with its place", () => {
  expect(parseWarnings(answer)).toEqual(["a.yaml:3:1: spec: port 80 is opaque; name it http", "no place"]);
  expect(parseWarnings(null)).toEqual([]);
});

it("tells which control-plane ports are not the usual ones", () => {
  const usual = { xds: 15012, ca: 8060, config: 9901, als: 9091, metrics: 15014, http: 15080, prometheus: 42422 };
  expect(movedPorts(usual)).toBe("");
  expect(movedPorts({ ...usual, ca: 40001 })).toBe("ca 40001 instead of 8060");
});

const proxy = (pod: string, synced: boolean) => ({ namespace: "default", pod, synced });
it.each([
  [true, { registryVersion: "7", proxies: [proxy("a", true), proxy("b", true)] }],
  [true, { registryVersion: "12", proxies: [proxy("a", true), proxy("b", true)] }],
  [true, { registryVersion: "7", proxies: [proxy("a", true), proxy("b", true), proxy("starting", false)] }],
  [false, { registryVersion: "6", proxies: [proxy("a", true), proxy("b", true)] }],
  [false, { registryVersion: "7", proxies: [proxy("a", true), proxy("b", false)] }],
  [false, { registryVersion: "7", proxies: [proxy("a", true)] }],
  [false, { registryVersion: "7", proxies: [proxy("a", true), proxy("b", false), proxy("b", true)] }],
  [false, { proxies: [proxy("a", true), proxy("b", true)] }],
  [false, undefined],
])("settled: %j for %j", (settled, said) => {
  expect(isSettled(said, "7", ["default/a", "default/b"])).toBe(settled);
});
