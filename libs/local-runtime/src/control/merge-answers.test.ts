import { describe, expect, it } from "vitest";
import { mergeSyncz, mergeWaits } from "./merge-answers.ts";

const named = (...answers: readonly unknown[]) =>
  answers.map((answer, index) => ({ name: `pilot-${index + 1}`, answer }));

describe("answers of several pilots", () => {
  const one = {
    revision: 4,
    registryVersion: "7",
    ready: true,
    proxies: [{ pod: "a" }],
    typeStreams: [],
    warnings: ["w"],
  };

  it("have the proxies of all, and each warning once", () => {
    const other = { ...one, revision: 3, proxies: [{ pod: "b" }], warnings: ["w", "v"] };
    expect(mergeSyncz(named(one, other))).toEqual({
      revision: 3,
      registryVersion: "7",
      ready: true,
      proxies: [
        { pod: "a", pilot: "pilot-1" },
        { pod: "b", pilot: "pilot-2" },
      ],
      typeStreams: [],
      warnings: ["w", "v"],
    });
  });

  it("name the last state of the registry that all have pushed", () => {
    expect(mergeSyncz(named({ ...one, registryVersion: "10" }, { ...one, registryVersion: "8" }))).toMatchObject({
      registryVersion: "8",
    });
    expect(mergeSyncz(named(one, { ...one, registryVersion: undefined }))).toMatchObject({
      registryVersion: undefined,
    });
  });

  it("are in step when all proxies of all are", () => {
    const done = { revision: 4, synced: true, laggards: [] };
    expect(mergeWaits(named(done, done))).toEqual(done);
    expect(mergeWaits(named(done, { revision: 3, synced: false, laggards: ["a.b"] }))).toEqual({
      revision: 3,
      synced: false,
      laggards: ["a.b"],
    });
  });

  it("do not break on an answer of another shape", () => {
    expect(mergeSyncz(named({}, null))).toMatchObject({ proxies: [], warnings: [], ready: false });
  });
});
