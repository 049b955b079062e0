import { expectOk, silentLogger } from "@lateen/kernel";
import { describe, expect, it } from "vitest";
import { parse, parseAllDocuments } from "yaml";
import type { ProxyConfigs } from "./config/proxy-configs.ts";
import { injectDocuments } from "./documents.ts";
import { createInjector } from "./injector.ts";
import { type JsonObject, objectOf } from "./json.ts";
import type { PatchOperation } from "./patch.ts";
import { applyPatch } from "./testing/apply-patch.ts";
import { at, configOf, proxyConfig } from "./testing/pods.ts";

const template = (more = "") => `
    metadata:
      labels: { app: web, version: v1 }
      annotations: { sidecar.istio.io/proxyCPU: 50m, prometheus.io/port: "9100" }
    spec:
      containers:
        - name: app
          image: web:1
          ports: [{ name: http, containerPort: 8080 }]
          readinessProbe: { httpGet: { path: /ok, port: http } }${more}
`;
const workload = (apiVersion: string, kind: string) => `apiVersion: ${apiVersion}
kind: ${kind}
metadata: { name: web, namespace: shop }
spec:
  template:${template(kind === "Job" ? "\n      restartPolicy: Never" : "")}`;
const cronJob = `apiVersion: batch/v1
kind: CronJob
metadata: { name: web, namespace: shop }
spec:
  schedule: "* * * * *"
  jobTemplate:
    spec:
      template:${template("\n      restartPolicy: OnFailure").replaceAll("\n", "\n    ")}`;
const inject = (text: string, texts = {}) =>
  expectOk(
    injectDocuments(text, configOf(texts), { file: "in.yaml", namespace: "default" }),
    (problems) => new Error(problems.join()),
  );

/** The pod that Kubernetes' controllers make of a workload's template. */
function podOf(kind: string, pod: JsonObject): JsonObject {
  const direct = { apiVersion: "apps/v1", kind, name: "web" };
  const owner =
    kind === "Deployment"
      ? { apiVersion: "apps/v1", kind: "ReplicaSet", name: "web-5d8f" }
      : kind === "CronJob"
        ? { apiVersion: "batch/v1", kind: "Job", name: "web-28123456" }
        : kind === "Job"
          ? { ...direct, apiVersion: "batch/v1" }
          : kind === "ReplicationController"
            ? { ...direct, apiVersion: "v1" }
            : direct;
  const metadata = objectOf(pod.metadata);
  const labels = { ...objectOf(metadata.labels), ...(kind === "Deployment" ? { "pod-template-hash": "5d8f" } : {}) };
  return {
    ...{ apiVersion: "v1", kind: "Pod" },
    metadata: {
      ...metadata,
      labels,
      generateName: `${owner.name}-`,
      ownerReferences: [{ ...owner, controller: true }],
    },
    spec: pod.spec,
  };
}

function throughWebhook(
  pod: JsonObject,
  { apiVersion = "admission.k8s.io/v1", proxyConfigs = [] as ProxyConfigs } = {},
): JsonObject {
  const request = { uid: "1", kind: { kind: "Pod" }, namespace: "shop", operation: "CREATE", object: pod };
  const injector = createInjector({}, silentLogger);
  injector.takeProxyConfigs(proxyConfigs);
  const review = injector.review({ apiVersion, kind: "AdmissionReview", request });
  const patch = Buffer.from(String(at(review, "response", "patch")), "base64").toString("utf8");
  return objectOf(applyPatch(pod, JSON.parse(patch) as PatchOperation[]));
}

describe("kube-inject and the webhook", () => {
  it.each([
    ["Deployment", workload("apps/v1", "Deployment"), ["spec", "template"]],
    ["StatefulSet", workload("apps/v1", "StatefulSet"), ["spec", "template"]],
    ["DaemonSet", workload("apps/v1", "DaemonSet"), ["spec", "template"]],
    ["ReplicaSet", workload("apps/v1", "ReplicaSet"), ["spec", "template"]],
    ["ReplicationController", workload("v1", "ReplicationController"), ["spec", "template"]],
    ["Job", workload("batch/v1", "Job"), ["spec", "template"]],
    ["CronJob", cronJob, ["spec", "jobTemplate", "spec", "template"]],
  ])("give one result for a %s", (kind, text, path) => {
    const bare = objectOf(at(parse(text), ...path));
    const offline = objectOf(at(parse(inject(text).text), ...path));
    expect(objectOf(offline.spec).containers).not.toEqual(objectOf(bare.spec).containers);
    // The controllers add owner and hash to either.
    const pod = throughWebhook(podOf(kind, bare));
    expect(pod).toEqual(podOf(kind, offline));
  });

  it("give one result for a Pod, in both versions of the review", () => {
    const text = `apiVersion: v1\nkind: Pod\nmetadata: { name: web, namespace: shop }\nspec: { containers: [{ name: app, image: web:1 }] }\n`;
    const offline = parse(inject(text).text) as JsonObject;
    expect(throughWebhook(parse(text) as JsonObject)).toEqual(offline);
    expect(throughWebhook(parse(text) as JsonObject, { apiVersion: "admission.k8s.io/v1beta1" })).toEqual(offline);
  });
});

it("kube-inject and the webhook obey the same ProxyConfigs, by the labels of pods", () => {
  const selector = { matchLabels: { app: "web", version: "v1" } };
  const proxyConfigs = [
    proxyConfig("shop", { selector, concurrency: 3, image: { imageType: "debug" } }),
    proxyConfig("istio-system", { environmentVariables: { COLOUR: "red" } }),
  ];
  const text = workload("apps/v1", "Deployment");
  const config = { ...configOf(), proxyConfigs };
  const offline = expectOk(
    injectDocuments(text, config, { file: "in.yaml", namespace: "default" }),
    (problems) => new Error(problems.join()),
  );
  const [bare, template] = [text, offline.text].map((each) => objectOf(at(parse(each), "spec", "template")));
  expect(throughWebhook(podOf("Deployment", bare ?? {}), { proxyConfigs })).toEqual(
    podOf("Deployment", template ?? {}),
  );
  expect(offline.text).toContain("value: red");
  expect(offline.text).toContain('"concurrency":3');
  expect(offline.text).toContain("-debug");
});

describe("injectDocuments", () => {
  const service =
    "# the service\napiVersion: v1\nkind: Service   # kept\nmetadata: {name:   web}\nspec: {ports: [{port: 80}]}\n";

  it("keeps other documents letter by letter", () => {
    const text = `${service}---\n${workload("apps/v1", "Deployment")}--- # two\n${service}`;
    const result = inject(text).text;
    expect(result.startsWith(`${service}---\n`)).toBe(true);
    expect(result.endsWith(`--- # two\n${service}`)).toBe(true);
    expect(parseAllDocuments(result)).toHaveLength(3);
  });

  it("keeps a text without workloads, whatever it is", () => {
    for (const text of ["", "---\n", "\n\n", "# only words\n", "--- {a: 1}\n...\n", "---\r\na: 1\r\n"])
      expect(inject(text).text).toBe(text);
  });

  it("injects once", () => {
    const once = inject(`${service}---\n${cronJob}`).text;
    expect(inject(once).text).toBe(once);
  });

  it("looks into lists, and keeps what else is in them", () => {
    const list = { apiVersion: "v1", kind: "List", items: [parse(service), parse(workload("apps/v1", "Deployment"))] };
    const result = parse(inject(JSON.stringify(list)).text) as JsonObject;
    expect(at(result, "items", 0)).toEqual(parse(service));
    expect(at(result, "items", 1, "spec", "template", "spec", "initContainers", 0, "name")).toBe("istio-init");
  });

  it("leaves workloads that want no sidecar", () => {
    const text = workload("apps/v1", "Deployment").replace("app: web", 'app: web, sidecar.istio.io/inject: "false"');
    expect(inject(text).text).toBe(text);
    const host = workload("apps/v1", "Deployment").replace("containers:", "hostNetwork: true\n      containers:");
    expect(inject(host).text).toBe(host);
  });

  it("names object, annotation and reason of what it refuses, or file and line", () => {
    const bad = workload("apps/v1", "Deployment").replace("50m", "lots");
    const options = { file: "in.yaml", namespace: "default" };
    expect(injectDocuments(bad, configOf(), options)).toEqual({
      ok: false,
      error: [
        'Deployment shop/web: annotation sidecar.istio.io/proxyCPU: "lots" is not a quantity such as 100m or 128Mi',
      ],
    });
    const broken = injectDocuments("a: 1\n---\nb: [\n", configOf(), options);
    expect(broken.ok ? "" : broken.error.join()).toMatch(/^in\.yaml:[34]: /);
  });
});
