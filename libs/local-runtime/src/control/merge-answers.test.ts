import { describe, expect, it } from "vitest";
import { mergeSyncz, mergeWaits } from "./merge-answers.ts";

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
    expect(mergeSyncz([one, other])).toEqual({
      revision: 3,
      registryVersion: "7",
      ready: true,
      proxies: [{ pod: "a" }, { pod: "b" }],
      typeStreams: [],
      warnings: ["w", "v"],
    });
  });

  it("name no state of the registry before all have pushed it", () => {
    expect(mergeSyncz([one, { ...one, registryVersion: "8" }])).toMatchObject({ registryVersion: undefined });
  });

  it("are in step when all proxies of all are", () => {
    const done = { revision: 4, synced: true, laggards: [] };
    expect(mergeWaits([done, done])).toEqual(done);
    expect(mergeWaits([done, { revision: 3, synced: false, laggards: ["a.b"] }])).toEqual({
      revision: 3,
      synced: false,
      laggards: ["a.b"],
    });
  });

  it("do not break on an answer of another shape", () => {
    expect(mergeSyncz([{}, null])).toMatchObject({ proxies: [], warnings: [], ready: false });
  });
});
