import { silentLogger } from "@lateen/kernel";
import { fastify } from "fastify";
import { expect, it } from "vitest";
import { createInjector } from "./injector.ts";
import { injectorRoutes } from "./routes.ts";
import { at, proxyConfig, webPod } from "./testing/pods.ts";

const review = (object: unknown, more = {}) => ({
  apiVersion: "admission.k8s.io/v1",
  kind: "AdmissionReview",
  request: { uid: "u1", kind: { kind: "Pod" }, namespace: "shop", operation: "CREATE", object, ...more },
});

async function serve(texts = {}) {
  const injector = createInjector(texts, silentLogger);
  const app = fastify();
  await app.register(injectorRoutes(injector));
  const post = async (url: string, body: unknown) => {
    const answer = await app.inject({ method: "POST", url, payload: body as object });
    return { status: answer.statusCode, body: answer.json<unknown>() };
  };
  return { injector, post };
}

it("patches a pod", async () => {
  const { post, injector } = await serve();
  const { status, body } = await post("/inject", review(webPod()));
  expect(status).toBe(200);
  expect(body).toMatchObject({
    apiVersion: "admission.k8s.io/v1",
    kind: "AdmissionReview",
    response: { uid: "u1", allowed: true, patchType: "JSONPatch" },
  });
  expect(injector.metrics()).toContain("sidecar_injection_success_total 1");
});

it("refuses a bad annotation with the reason", async () => {
  const { post } = await serve();
  const { body } = await post("/inject", review(webPod({ annotations: { "sidecar.istio.io/proxyCPU": "x" } })));
  expect(body).toMatchObject({
    response: { uid: "u1", allowed: false, status: { code: 400, message: expect.stringContaining("proxyCPU") } },
  });
});

it("lets pass what gets none: told not to, deleted, no pod", async () => {
  const { post, injector } = await serve();
  const quiet = webPod({ labels: { "sidecar.istio.io/inject": "false" } });
  for (const body of [
    review(quiet),
    review(null, { operation: "DELETE" }),
    review({ kind: "Service" }, { kind: { kind: "Service" } }),
  ]) {
    expect((await post("/inject", body)).body).toEqual({
      apiVersion: "admission.k8s.io/v1",
      kind: "AdmissionReview",
      response: { uid: "u1", allowed: true },
    });
  }
  expect(injector.metrics()).toContain('sidecar_injection_skip_total{reason="label"} 1');
});

it("takes cluster and network from the path", async () => {
  const { post } = await serve();
  const { body } = await post("/inject/cluster/west/net/n2", review(webPod()));
  const patch = Buffer.from(String(at(body, "response", "patch")), "base64").toString();
  expect(patch).toContain('{"name":"ISTIO_META_CLUSTER_ID","value":"west"}');
  expect(patch).toContain('{"name":"ISTIO_META_NETWORK","value":"n2"}');
});

it.each([
  ["/inject", { kind: "Other" }],
  ["/inject", { ...review({}), apiVersion: "admission.k8s.io/v2" }],
  ["/inject", review({}, { uid: "" })],
  ["/inject", review({}, { operation: "LOOK" })],
  ["/inject/other/x", review(webPod())],
  ["/inject/cluster", review(webPod())],
])("answers what cannot be read with an error: %s %j", async (url, body) => {
  const { post } = await serve();
  expect((await post(url, body)).status).toBeGreaterThanOrEqual(400);
});

it.each([
  [{ metadata: 1, spec: [] }],
  [{ metadata: { labels: [1], annotations: "x" }, spec: { containers: [null, 1, {}] } }],
  [{ metadata: { ownerReferences: {} }, spec: { containers: [{ name: "a", ports: "x", readinessProbe: 3 }] } }],
])("answers whatever a pod looks like: %j", async (pod) => {
  const { post } = await serve();
  const { status, body } = await post("/inject", review(pod));
  expect(status).toBe(200);
  expect(at(body, "response", "uid")).toBe("u1");
});

it("keeps ProxyConfig objects when its texts change, and the texts when the objects do", () => {
  const injector = createInjector({ mesh: "defaultConfig: { concurrency: 1, drainDuration: 9s }" }, silentLogger);
  injector.takeProxyConfigs([proxyConfig("shop", { concurrency: 2, environmentVariables: { A: "1" } })]);
  const patch = () => {
    const answer = injector.review(review(webPod()));
    return Buffer.from(String(at(answer, "response", "patch")), "base64").toString();
  };
  expect(patch()).toContain('{"name":"A","value":"1"}');
  expect(patch()).toContain('\\"concurrency\\":2,\\"drainDuration\\":\\"9s\\"');
  injector.update({ mesh: "defaultConfig: { drainDuration: 8s }" });
  expect(patch()).toContain('\\"drainDuration\\":\\"8s\\",\\"concurrency\\":2');
  injector.takeProxyConfigs([]);
  expect(patch()).not.toContain("concurrency");
});

it("keeps the last good configuration", () => {
  const injector = createInjector({ values: "revision: one" }, silentLogger);
  expect(injector.update({ values: "revison: two" })).toBe(false);
  expect(injector.config.revision).toBe("one");
  expect(injector.update({ values: "revision: two" })).toBe(true);
  expect(injector.config.revision).toBe("two");
  expect(injector.metrics()).toContain('sidecar_injector_config_reloads_total{result="rejected"} 1');
  expect(() => createInjector({ values: "[" }, silentLogger)).toThrow("cannot be used");
});
