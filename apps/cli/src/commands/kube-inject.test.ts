import { createInjector, proxyConfigsOfDocuments } from "@lateen/injector";
import { silentLogger } from "@lateen/kernel";
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

interface Container {
  readonly name: string;
  readonly image?: string;
  readonly env?: readonly { readonly name: string; readonly value?: string }[];
}

let machine: TestMachine;
beforeAll(() => {
  machine = new TestMachine();
  machine.file("app/1.yaml", SERVICE);
  machine.file("app/2.yaml", DEPLOYMENT);
  machine.file("broken.yaml", "kind: [\n");
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

it("obeys ProxyConfigs among the files and beside them, as the webhook does", async () => {
  const kind = "apiVersion: networking.istio.io/v1beta1\nkind: ProxyConfig\n";
  const wide = `${kind}metadata: { name: wide }\nspec: { environmentVariables: { COLOUR: red }, image: { imageType: debug } }\n`;
  const web = `${kind}metadata: { name: web }\nspec: { selector: { matchLabels: { app: web } }, concurrency: 3 }\n`;
  const root = `${kind}metadata: { name: root, namespace: istio-system }\nspec: { concurrency: 9, environmentVariables: { SIZE: big } }\n`;
  const canary = `${kind}metadata: { name: a, labels: { istio.io/rev: canary } }\nspec: { concurrency: 7 }\n`;
  const pod = `apiVersion: v1\nkind: Pod\nmetadata: { name: web, namespace: shop, labels: { app: web } }\nspec: { containers: [{ name: app, image: "web:1" }] }\n`;
  machine.file("rules.yaml", [canary, root].join("---\n"));
  const input = [wide, pod, web].join("---\n");
  const { code, out } = await machine.run(["kube-inject", "-f", "-", "-n", "shop", "--proxyConfigFile", "rules.yaml"], {
    input,
  });
  expect(code).toBe(0);
  expect(out.startsWith(`${wide}---\n`)).toBe(true);
  const documents = parseAllDocuments(out).map((document) => document.toJS() as Record<string, unknown>);
  const { spec } = documents[1] as { spec: { containers: Container[]; initContainers: Container[] } };
  const proxy = spec.containers.find(({ name }) => name === "istio-proxy");
  const env = Object.fromEntries((proxy?.env ?? []).map(({ name, value }) => [name, value]));
  expect(JSON.parse(env.PROXY_CONFIG ?? "")).toMatchObject({
    concurrency: 3,
    proxyMetadata: { COLOUR: "red", SIZE: "big" },
    image: { imageType: "debug" },
  });
  expect(env).toMatchObject({ COLOUR: "red", SIZE: "big" });
  expect(proxy?.image).toMatch(/-debug$/);
  // The webhook with the same objects, as an API server has them.
  const injector = createInjector({}, silentLogger);
  const inShop = (text: string) => text.replace("metadata: { ", "metadata: { namespace: shop, ");
  const given = [{ file: "objects", text: [inShop(wide), inShop(web), root].join("---\n") }];
  injector.takeProxyConfigs(proxyConfigsOfDocuments(silentLogger)(given));
  const object = parseAllDocuments(pod)[0]?.toJS() as object;
  const request = { uid: "1", kind: { kind: "Pod" }, namespace: "shop", operation: "CREATE", object };
  const answer = injector.review({ apiVersion: "admission.k8s.io/v1", kind: "AdmissionReview", request });
  const { patch } = answer.response as { patch: string };
  const operations = JSON.parse(Buffer.from(patch, "base64").toString()) as { path: string; value: unknown }[];
  const valueAt = (path: string) => operations.find((operation) => operation.path === path)?.value;
  expect(spec.containers).toEqual(valueAt("/spec/containers"));
  expect(spec.initContainers).toEqual(valueAt("/spec/initContainers"));
});

it.each([
  [
    "a bad ProxyConfig",
    ["-f", "-"],
    `apiVersion: networking.istio.io/v1beta1\nkind: ProxyConfig\nmetadata: { name: a }\nspec: { concurrency: -1 }\n`,
    "<stdin>:4: ProxyConfig default/a: spec.concurrency",
  ],
  ["ProxyConfigs that cannot be read", ["-f", "app", "--proxyConfigFile", "broken.yaml"], "", "broken.yaml:"],
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
