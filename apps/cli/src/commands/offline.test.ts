import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { TestMachine } from "../testing/cli.ts";

const GOOD = `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: good }
spec:
  hosts: [web]
  http: [{ route: [{ destination: { host: web } }] }]
`;
const BAD = `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: bad }
spec:
  hosts: [web]
  htp: []
`;

let machine: TestMachine;
beforeAll(() => {
  machine = new TestMachine();
  machine.file("rules/good.yaml", GOOD);
  machine.file("rules/deep/bad.yaml", BAD);
});
afterAll(() => machine.close());

describe("validate", () => {
  it("prints one verdict for each object, with file, line and path", async () => {
    const { code, out } = await machine.run(["validate", "-R", "-f", "rules", "-o", "json"]);
    expect(code).toBe(65);
    expect(JSON.parse(out)).toEqual({
      results: [
        {
          kind: "VirtualService",
          namespace: "default",
          name: "bad",
          file: "rules/deep/bad.yaml",
          line: 1,
          valid: false,
          errors: expect.arrayContaining([
            { message: expect.stringContaining('unknown field "htp"'), path: "spec.htp", line: 6 },
          ]),
          warnings: [],
        },
        {
          kind: "VirtualService",
          namespace: "default",
          name: "good",
          file: "rules/good.yaml",
          line: 1,
          valid: true,
          errors: [],
          warnings: [],
        },
      ],
    });
  });

  it("is content with valid files, and does not look below a directory unasked", async () => {
    expect(await machine.run(["validate", "-f", "rules"])).toEqual({
      code: 0,
      out: "rules/good.yaml:1: VirtualService default/good: valid\n1 valid, 0 invalid\n",
      err: "",
    });
  });

  it("reads standard input", async () => {
    const { code, out } = await machine.run(["validate", "-f", "-"], { input: BAD });
    expect(code).toBe(65);
    expect(out).toMatch(/<stdin>:6: error: .*htp/);
  });

  it("checks the ConfigMap istio as mesh configuration", async () => {
    const input = `apiVersion: v1
kind: ConfigMap
metadata: { name: istio, namespace: istio-system }
data: { mesh: "trustDomian: example.org" }
`;
    const { code, out } = await machine.run(["validate", "-f", "-", "-o", "json"], { input });
    expect(code).toBe(65);
    expect(out).toContain("trustDomian");
  });
});

describe("xds", () => {
  const node = JSON.stringify({
    id: "sidecar~10.0.0.1~client-1.default~default.svc.cluster.local",
    metadata: { NAMESPACE: "default" },
  });
  const service = `apiVersion: v1
kind: Service
metadata: { name: web }
spec: { selector: { app: web }, ports: [{ name: http, port: 80 }] }
`;

  it("prints what pilot would serve the node", async () => {
    machine.file("node.json", node);
    machine.file("mesh/web.yaml", `${service}---\n${GOOD}`);
    const { code, out } = await machine.run(["xds", "-f", "mesh", "--node", "node.json"]);
    expect(code).toBe(0);
    const preview = JSON.parse(out) as Record<string, { name: string }[]>;
    expect(Object.keys(preview)).toEqual(["listeners", "routes", "clusters", "endpoints", "secrets", "extensions"]);
    expect(preview.clusters?.map(({ name }) => name)).toContain("outbound|80||web.default.svc.cluster.local");
    expect(preview.routes?.map(({ name }) => name)).toContain("80");
  });

  it("leaves an invalid object out, as galley does, and says so", async () => {
    machine.file("mesh/bad.yaml", BAD);
    const { code, out, err } = await machine.run(["xds", "-f", "mesh", "--node", "node.json"]);
    expect(code).toBe(65);
    expect(err).toMatch(/error: mesh\/bad\.yaml:6:\d+: .*htp/);
    expect(out).toContain("outbound|80||web.default.svc.cluster.local");
  });

  it.each([
    ["{", "not JSON"],
    ['{"id":"nobody"}', "not of the form"],
  ])("refuses the node %s", async (input, said) => {
    const { code, err } = await machine.run(["xds", "-f", "rules", "--node", "-"], { input });
    expect(code).toBe(65);
    expect(err).toContain(said);
  });
});
