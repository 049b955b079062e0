import { fastify } from "fastify";
import { expect, it } from "vitest";
import { createAdmissionValidator, validationRoutes } from "./admission.ts";

const service = (spec: object) => ({
  apiVersion: "networking.istio.io/v1",
  kind: "VirtualService",
  // As API servers send them: with fields that they keep themselves.
  metadata: {
    ...{ name: "web", namespace: "shop", uid: "u", resourceVersion: "7", generation: 1 },
    creationTimestamp: "2026-01-01T00:00:00Z",
    managedFields: [{ manager: "kubectl", operation: "Update", fieldsV1: { "f:spec": {} } }],
    annotations: { "kubectl.kubernetes.io/last-applied-configuration": "{}" },
  },
  spec,
});
const good = { hosts: ["web"], http: [{ route: [{ destination: { host: "web" } }] }] };
const review = (object: unknown, more = {}, apiVersion = "admission.k8s.io/v1") => ({
  apiVersion,
  kind: "AdmissionReview",
  request: {
    uid: "u1",
    kind: { kind: "VirtualService" },
    namespace: "shop",
    name: "web",
    operation: "CREATE",
    object,
    ...more,
  },
});

async function post(body: unknown, url = "/validate") {
  const app = fastify();
  await app.register(validationRoutes(createAdmissionValidator()));
  const answer = await app.inject({ method: "POST", url, payload: body as object });
  return { status: answer.statusCode, body: answer.json<{ response: Record<string, unknown> }>() };
}

it.each(["admission.k8s.io/v1", "admission.k8s.io/v1beta1"])("lets good configuration pass, %s", async (apiVersion) => {
  for (const url of ["/validate", "/validate/"]) {
    const { status, body } = await post(review(service(good), {}, apiVersion), url);
    expect(status).toBe(200);
    expect(body).toEqual({ apiVersion, kind: "AdmissionReview", response: { uid: "u1", allowed: true } });
  }
});

it.each([
  ["an unknown field", service({ ...good, htp: [] }), 'unknown field "htp"'],
  ["a wrong value", service({ ...good, http: [{ timeout: "soon", route: good.http[0]?.route }] }), "timeout"],
  ["a route without destination", service({ hosts: ["web"], http: [{}] }), "http[0]"],
  ["no object", 7, "map"],
])("refuses %s and says why", async (_title, object, reason) => {
  const { status, body } = await post(review(object, { operation: "UPDATE" }));
  expect(status).toBe(200);
  expect(body.response).toMatchObject({ uid: "u1", allowed: false, status: { code: 400 } });
  expect(JSON.stringify(body.response.status)).toContain(reason.replaceAll('"', '\\"'));
});

it("shows warnings of what it lets pass", async () => {
  const annotated = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "p", annotations: { "proxy.istio.io/config": "x: 1" } },
    spec: { containers: [{ name: "a", image: "b" }] },
  };
  const pod = await post(review(annotated, { kind: { kind: "Pod" } }));
  expect(pod.body.response).toMatchObject({
    allowed: true,
    warnings: [expect.stringContaining("proxy.istio.io/config")],
  });
});

it("lets other controllers' kinds pass, and deletions", async () => {
  const other = { apiVersion: "example.test/v1", kind: "Widget", metadata: { name: "w" }, spec: { what: 1 } };
  expect((await post(review(other, { kind: { kind: "Widget" } }))).body.response).toEqual({ uid: "u1", allowed: true });
  expect((await post(review(null, { operation: "DELETE" }))).body.response).toEqual({ uid: "u1", allowed: true });
});

it("judges the mesh configuration", async () => {
  const map = (mesh: string) => ({
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: "istio", namespace: "istio-system" },
    data: { mesh },
  });
  const request = { kind: { kind: "ConfigMap" }, namespace: "istio-system", name: "istio" };
  expect((await post(review(map("trustDomain: x"), request))).body.response).toMatchObject({ allowed: true });
  expect((await post(review(map("trustDomane: x"), request))).body.response).toMatchObject({ allowed: false });
});

it("answers what is no review with an error", async () => {
  expect((await post({ kind: "Pod" })).status).toBeGreaterThanOrEqual(400);
});
