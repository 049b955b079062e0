import { describe, expect, it } from "vitest";
import { environmentMetadata, labelledLocality } from "./node-metadata.ts";

describe("environmentMetadata", () => {
  it("is what Istio's variables say, and nothing of others", () => {
    const problems: string[] = [];
    const env = {
      ISTIO_META_TEAM: "shop",
      ISTIO_METAJSON_OWN: '{"a":[1]}',
      HOME: "/",
      ISTIO_META: "x",
      GONE: undefined,
    };
    expect(environmentMetadata(env, problems)).toEqual({ TEAM: "shop", OWN: { a: [1] } });
    expect(problems).toEqual([]);
  });

  it("tells of what is no JSON", () => {
    const problems: string[] = [];
    environmentMetadata({ ISTIO_METAJSON_A: "{" }, problems);
    expect(problems).toEqual(["ISTIO_METAJSON_A: not JSON"]);
  });
});

describe("labelledLocality", () => {
  it.each<[Record<string, string>, ReturnType<typeof labelledLocality>]>([
    [{}, undefined],
    [{ "topology.kubernetes.io/zone": "b" }, undefined],
    [{ "topology.kubernetes.io/region": "a" }, { region: "a", zone: "", subZone: "" }],
    [
      {
        "topology.kubernetes.io/region": "a",
        "topology.kubernetes.io/zone": "b",
        "topology.istio.io/subzone": "c",
      },
      { region: "a", zone: "b", subZone: "c" },
    ],
    [
      { "istio-locality": "a.b.c", "topology.kubernetes.io/region": "x" },
      { region: "a", zone: "b", subZone: "c" },
    ],
    [{ "istio-locality": "a/b.1" }, { region: "a", zone: "b.1", subZone: "" }],
  ])("of %j", (labels, expected) => {
    expect(labelledLocality(labels)).toEqual(expected);
  });
});
