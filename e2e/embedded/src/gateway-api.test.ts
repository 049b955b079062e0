import https from "node:https";
import { createTestCa, eventually } from "@lateen/test-support";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { call } from "./harness/http.ts";
import { type Mesh, startMesh } from "./harness/mesh.ts";

/** A Gateway of its own, and one at the ingress gateway; both lead to reviews. */
const OBJECTS = `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: edge }
spec:
  gatewayClassName: istio
  addresses: [{ type: Hostname, value: istio-ingressgateway.istio-system.svc.cluster.local }]
  listeners:
    - { name: http, port: 80, protocol: HTTP, hostname: "*.api.example.com" }
    - name: https
      port: 443
      protocol: HTTPS
      hostname: "*.api.example.com"
      tls: { certificateRefs: [{ name: api }] }
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: own }
spec:
  gatewayClassName: istio
  listeners: [{ name: http, port: 80, protocol: HTTP }]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: reviews }
spec:
  parentRefs: [{ name: edge }, { name: own }]
  hostnames: [reviews.api.example.com]
  rules:
    - matches: [{ path: { value: /v1 } }]
      filters:
        - { type: URLRewrite, urlRewrite: { path: { type: ReplacePrefixMatch, replacePrefixMatch: / } } }
      backendRefs: [{ name: reviews, port: 9080 }]
    - matches: [{ path: { value: /old } }]
      filters: [{ type: RequestRedirect, requestRedirect: { path: { type: ReplacePrefixMatch, replacePrefixMatch: /v1 } } }]
    - matches: [{ path: { value: /nobody } }]
      backendRefs: [{ name: nobody, port: 80 }]
`;
const INGRESS = `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: details }
spec:
  ingressClassName: istio
  rules:
    - host: details.example.com
      http: { paths: [{ path: /details, pathType: Prefix, backend: { service: { name: details, port: { name: http } } } }] }
`;
const ca = createTestCa("api");
const pair = ca.issue({ dns: ["*.api.example.com"] });
const base64 = (text: string) => Buffer.from(text).toString("base64");
/** In the Gateway's namespace, which is not that of the ingress gateway's pod. */
const SECRET = `
apiVersion: v1
kind: Secret
metadata: { name: api }
type: kubernetes.io/tls
data: { tls.crt: ${base64(pair.certPem)}, tls.key: ${base64(pair.keyPem)} }
`;
const host = (name: string) => ({ headers: { host: name } });
const REVIEWS = host("reviews.api.example.com");

describe("Gateway API and Ingress on live traffic", () => {
  let mesh: Mesh;
  beforeAll(async () => {
    mesh = await startMesh({ "routes.yaml": OBJECTS, "ingress.yaml": INGRESS, "secret.yaml": SECRET });
    await mesh.synced();
  });
  afterAll(() => mesh?.down());

  const status = async (url: string, options = REVIEWS) => (await call(url, options)).status;

  it("an HTTPRoute routes what comes to the ingress gateway", async () => {
    await eventually("it is served", async () =>
      (await status(mesh.url("/v1/reviews/0"))) === 200 ? true : undefined,
    );
    const answer = await call(mesh.url("/v1/reviews/0"), REVIEWS);
    expect(answer.headers["x-reviews-version"]).toMatch(/^v[123]$/);
    expect(await status(mesh.url("/v1x/reviews/0"))).toBe(404);
    expect(await status(mesh.url("/nobody"))).toBe(500);
    expect(await status(mesh.url("/v1/reviews/0"), host("other.api.example.com"))).toBe(404);
    const moved = await call(mesh.url("/old/reviews/0"), REVIEWS);
    expect([moved.status, moved.headers.location]).toEqual([302, "http://reviews.api.example.com/v1/reviews/0"]);
  });

  it("a listener ends TLS with a Secret beside its Gateway", async () => {
    const port = (await mesh.status()).gateways.flatMap(({ ports }) => ports).find((one) => one.port === 443)?.listen;
    const status = await new Promise<number | undefined>((resolve, reject) => {
      const name = "reviews.api.example.com";
      const options = { host: "127.0.0.1", port, path: "/v1/reviews/0", servername: name, headers: { host: name } };
      https
        .get({ ...options, ca: ca.rootPem, agent: false }, (response) => resolve(response.resume().statusCode))
        .on("error", reject);
    });
    expect(status).toBe(200);
  });

  it("a Gateway without address gets a gateway of its own", async () => {
    const own = (await mesh.status()).gateways.find(({ name }) => name === "own-istio");
    const [port] = own?.ports ?? [];
    expect(own?.namespace).toBe("default");
    expect(await status(`http://${port?.host}:${port?.listen}/v1/reviews/0`)).toBe(200);
    const gateway = JSON.parse(await mesh.ok("get", "gtw", "own", "-o", "json")) as {
      status: { conditions: { type: string; status: string }[]; listeners: { attachedRoutes: number }[] };
    };
    expect(gateway.status.conditions).toContainEqual(expect.objectContaining({ type: "Programmed", status: "True" }));
    expect(gateway.status.listeners.map(({ attachedRoutes }) => attachedRoutes)).toEqual([1]);
  });

  it("an Ingress routes by path segments", async () => {
    const details = host("details.example.com");
    expect(await status(mesh.url("/details/0"), details)).toBe(200);
    expect(await status(mesh.url("/detailsx"), details)).toBe(404);
  });

  it("a Gateway that goes takes its gateway with it", async () => {
    await mesh.write("routes.yaml", undefined);
    await eventually("it is gone", async () => {
      const { gateways } = await mesh.status();
      return gateways.some(({ name }) => name === "own-istio") ? undefined : true;
    });
    expect(await status(mesh.url("/v1/reviews/0"))).toBe(404);
  });
});
