import { silentLogger } from "@lateen/kernel";
import { keyOf, type Resource } from "@lateen/mesh-model";
import type { AcceptedObject } from "@lateen/ports";
import { describe, expect, it } from "vitest";
import { proxyConfigsOfDocuments, proxyConfigsOfTopic } from "./proxy-configs.ts";

function written(name: string, concurrency: number | string) {
  return {
    apiVersion: "networking.istio.io/v1beta1",
    kind: "ProxyConfig",
    metadata: { name, namespace: "shop" },
    spec: { concurrency },
  };
}
const text = (...objects: readonly object[]) => objects.map((each) => JSON.stringify(each)).join("\n---\n");
const shown = (objects: readonly Resource<"ProxyConfig">[] | undefined) =>
  objects?.map(({ metadata, spec }) => `${metadata.name}=${spec?.concurrency}`).sort();

describe("of documents", () => {
  const service = { apiVersion: "v1", kind: "Service", metadata: { name: "web", namespace: "shop" } };
  it.each<[string, readonly { file: string; text: string | undefined; unreadable?: string }[], readonly string[]]>([
    ["come", [{ file: "1", text: text(written("a", 1), service, written("b", 2)) }], ["a=1", "b=2"]],
    [
      "change and go with their document",
      [
        { file: "1", text: text(written("a", 1), written("b", 2)) },
        { file: "1", text: text(written("b", 3)) },
      ],
      ["b=3"],
    ],
    [
      "go with their file",
      [
        { file: "1", text: text(written("a", 1)) },
        { file: "1", text: undefined },
      ],
      [],
    ],
    [
      "stay as they were when they are bad",
      [
        { file: "1", text: text(written("a", 1), written("b", 2)) },
        { file: "1", text: text(written("a", "many"), written("b", 3)) },
      ],
      ["a=1", "b=3"],
    ],
    [
      "stay when the document cannot be read at all",
      [
        { file: "1", text: text(written("a", 1)) },
        { file: "1", text: "kind: [" },
      ],
      ["a=1"],
    ],
    [
      "stay when the file cannot be read",
      [
        { file: "1", text: text(written("a", 1)) },
        { file: "1", text: undefined, unreadable: "permission denied" },
      ],
      ["a=1"],
    ],
    [
      "of one name: the first",
      [
        { file: "1", text: text(written("a", 1)) },
        { file: "2", text: text(written("a", 2)) },
      ],
      ["a=1"],
    ],
  ])("they %s", (_title, deliveries, expected) => {
    const take = proxyConfigsOfDocuments(silentLogger);
    expect(shown(deliveries.map((document) => take([document])).at(-1))).toEqual(expected);
  });

  it("parsed ones", () => {
    const value = written("a", 4);
    expect(shown(proxyConfigsOfDocuments(silentLogger)([{ file: "1", text: text(value), value }]))).toEqual(["a=4"]);
  });
});

describe("of accepted configuration", () => {
  const entry = (object: object) => {
    const resource = object as Resource;
    return { key: keyOf(resource), value: { object: resource } as AcceptedObject, revision: 1 };
  };
  const delta = { snapshot: false, revision: 1, upserted: [], removed: [] };

  it("come, change and go; other objects are no change", () => {
    const take = proxyConfigsOfTopic();
    const [a, b] = [entry(written("a", 1)), entry(written("b", 2))];
    const service = entry({ apiVersion: "v1", kind: "Service", metadata: { name: "web", namespace: "shop" } });
    expect(shown(take({ ...delta, snapshot: true, upserted: [a, service] }))).toEqual(["a=1"]);
    expect(take({ ...delta, upserted: [service] })).toBeUndefined();
    expect(shown(take({ ...delta, upserted: [b] }))).toEqual(["a=1", "b=2"]);
    expect(take({ ...delta, removed: [service.key] })).toBeUndefined();
    expect(shown(take({ ...delta, removed: [a.key] }))).toEqual(["b=2"]);
    expect(shown(take({ ...delta, snapshot: true }))).toEqual([]);
  });
});
