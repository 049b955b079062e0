import { eventually } from "@lateen/test-support";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { call } from "./harness/http.ts";
import { type Mesh, startMesh } from "./harness/mesh.ts";

/** A hundred virtual services, each with a reply of its own; number 42 can be spoilt. */
function hundred(reply: string, spoil = false): string {
  return Array.from({ length: 100 }, (_, index) => {
    const spoilt = spoil && index === 42;
    return `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: site-${index} }
spec:
  hosts: [site-${index}.example.com]
  gateways: [bookinfo-gateway]
  http:
    - ${spoilt ? "directRespons" : "directResponse"}: { status: 200, body: { string: "${reply} ${index}" } }
`;
  }).join("---\n");
}
/** Line of the misspelt field: 42 documents of 8 lines and their separators before it, then its own eighth line. */
const BAD_LINE = 42 * 9 + 8;

describe("one bad object among a hundred", () => {
  let mesh: Mesh;
  beforeAll(async () => {
    mesh = await startMesh({ "sites.yaml": hundred("first") });
  });
  afterAll(() => mesh?.down());

  const site = async (index: number) =>
    (await call(mesh.url("/"), { headers: { host: `site-${index}.example.com` } })).body;
  const expectQuarantine = async () => {
    for (const index of [0, 41, 43, 99]) expect(await site(index)).toBe(`second ${index}`);
    expect(await site(42)).toBe("first 42");
    const { rejected } = await mesh.status();
    expect(rejected).toHaveLength(1);
    expect(rejected[0]).toMatchObject({
      kind: "VirtualService",
      namespace: "default",
      name: "site-42",
      line: BAD_LINE,
    });
    expect(rejected[0]?.file).toContain("sites.yaml");
    expect(rejected[0]?.message).toContain("directResponse");
  };

  it("serves the other 99, names the bad one with its line, and keeps its last good version", async () => {
    expect(await site(42)).toBe("first 42");
    await mesh.write("sites.yaml", hundred("second", true));
    await eventually("the others are live", async () => ((await site(99)) === "second 99" ? true : undefined));
    await expectQuarantine();
  });

  it("still does after a restart", async () => {
    await mesh.ok("down");
    await mesh.up();
    await eventually("the gateway serves", async () => ((await site(99)) === "second 99" ? true : undefined));
    await expectQuarantine();
  });

  it("takes the object once it is repaired", async () => {
    await mesh.write("sites.yaml", hundred("third"));
    await eventually("the repaired object is live", async () => ((await site(42)) === "third 42" ? true : undefined));
    expect((await mesh.status()).rejected).toEqual([]);
  });
});
