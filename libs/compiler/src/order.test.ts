import { defaultMeshConfig, type Resource } from "@lateen/mesh-model";
import { expect, it, vi } from "vitest";
import { createCompiler } from "./compiler.ts";
import { typeUrls } from "./resource.ts";
import { nodeOf, objectsFrom, pod, service } from "./testing/mesh.ts";

// On a machine that builds at the same time.
vi.setConfig({ testTimeout: 60_000 });

const rule = (name: string, host: string) => `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ${name}, namespace: default }
spec: { hosts: [${host}], http: [{ route: [{ destination: { host: ${host} } }], timeout: 3s }] }
`;
const destination = (name: string, host: string) => `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: ${name}, namespace: default }
spec: { host: ${host}, subsets: [{ name: v1, labels: { version: v1 } }] }
`;

/** 50 objects, some of which conflict. */
const OBJECTS: readonly Resource[] = Array.from({ length: 10 }, (_, at) => at).flatMap((at) =>
  objectsFrom(
    service(`s${at}`, `10.0.0.${at + 1}`, ["http:80", "tcp-db:5432"]),
    pod(`s${at}-1`, `10.1.0.${at + 1}`, { app: `s${at}`, version: "v1" }),
    rule(`rule-${at}`, `s${at}`),
    rule(`other-${at}`, `s${(at * 3) % 10}`),
    destination(`destination-${at}`, `s${(at * 7) % 10}`),
  ),
);

/** The same numbers each time. */
function shuffled(seed: number): readonly Resource[] {
  let state = seed;
  return OBJECTS.map((object) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return { object, key: state };
  })
    .sort((a, b) => a.key - b.key)
    .map(({ object }) => object);
}

function bytesOf(objects: readonly Resource[], oneByOne: boolean): readonly string[] {
  const compiler = createCompiler({ meshConfig: defaultMeshConfig(), clusterId: "test" });
  const node = nodeOf({});
  for (const part of oneByOne ? objects.map((object) => [object]) : [objects]) {
    compiler.apply({ upserted: part, removed: [] });
    if (oneByOne) compiler.content(node);
  }
  return Object.values(typeUrls).flatMap((url) =>
    [...compiler.resources(node, url).values()]
      .map(({ name, any }) => `${name} ${Buffer.from(any.value).toString("base64")}`)
      .sort(),
  );
}

it("gives identical bytes for 50 objects, in whatever order and portions they arrive", () => {
  expect(OBJECTS).toHaveLength(50);
  const expected = bytesOf(OBJECTS, false);
  expect(expected.length).toBeGreaterThan(40);
  for (const seed of [1, 2, 3, 4]) {
    expect(bytesOf(shuffled(seed), false)).toEqual(expected);
    expect(bytesOf(shuffled(seed), true)).toEqual(expected);
  }
});
