import { afterAll, beforeAll, expect, it } from "vitest";
import { parseAllDocuments } from "yaml";
import { TestMachine } from "../testing/cli.ts";

const SERVICE = "apiVersion: v1\nkind: Service # kept\nmetadata: { name: web }\nspec: { ports: [{ port: 80 }] }\n";
const DEPLOYMENT = `apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec: { containers: [{ name: app, image: "web:1" }] }
`;

let machine: TestMachine;
beforeAll(() => {
  machine = new TestMachine();
  machine.file("app/1.yaml", SERVICE);
  machine.file("app/2.yaml", DEPLOYMENT);
  machine.file("mesh.yaml", "trustDomain: example.test\n");
  machine.file("map.yaml", "kind: ConfigMap\ndata:\n  config: 'policy: disabled'\n  values: '{}'\n");
});
afterAll(() => machine.close());

it("puts a sidecar into workloads and keeps the rest as written", async () => {
  const { code, out } = await machine.run(["kube-inject", "-f", "app", "--meshConfigFile", "mesh.yaml"]);
  expect(code).toBe(0);
  expect(out.startsWith(`${SERVICE}---\n`)).toBe(true);
  const [, deployment] = parseAllDocuments(out).map((document) => document.toJS() as Record<string, unknown>);
  expect(deployment).toMatchObject({
    kind: "Deployment",
    spec: { template: { spec: { containers: [{ name: "istio-proxy" }, { name: "app" }] } } },
  });
  expect(out).toContain("value: example.test");
});

it.each([
  [["--set", "global.proxy.autoInject=disabled"]],
  [["--set", "sidecarInjectorWebhook.neverInjectSelector[0].matchLabels.app=web"]],
  [["--injectConfigFile", "map.yaml"]],
])("leaves them as they are: %s", async (flags) => {
  expect(await machine.run(["kube-inject", "-f", "-", ...flags], { input: DEPLOYMENT })).toEqual({
    code: 0,
    out: DEPLOYMENT,
    err: "",
  });
});

it("knows native sidecars by Kubernetes' version", async () => {
  const run = (version: string) =>
    machine.run(["kube-inject", "-f", "app/2.yaml", "--kubernetes-version", version, "--revision", "canary"]);
  const { out } = await run("1.34");
  expect(out).toContain("restartPolicy: Always");
  expect(out).toContain("istio.io/rev: canary");
  expect((await run("v1.30.2")).out).not.toContain("restartPolicy");
  expect((await run("new")).code).toBe(64);
});

it.each([
  [
    "a bad annotation",
    ["-f", "-"],
    DEPLOYMENT.replace(
      "{ app: web } }\n    spec",
      "{ app: web }, annotations: { sidecar.istio.io/proxyCPU: much } }\n    spec",
    ),
    "Deployment default/web: annotation sidecar.istio.io/proxyCPU",
  ],
  ["a bad value", ["-f", "-", "--set", "global.prox.image=x"], DEPLOYMENT, "did you mean"],
  ["bad YAML", ["-f", "-"], "a: [\n", "<stdin>:"],
])("refuses %s with 65 and writes nothing", async (_title, flags, input, problem) => {
  const { code, out, err } = await machine.run(["kube-inject", ...flags], { input });
  expect(code).toBe(65);
  expect(out).toBe("");
  expect(err).toContain(problem);
});
