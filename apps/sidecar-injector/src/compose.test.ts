import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { certificateService, serveGrpc } from "@lateen/adapter-grpc";
import { CONTROL_PLANE_NAMES, createAuthenticator, createCitadel } from "@lateen/citadel";
import { Scope, silentLogger, systemClock } from "@lateen/kernel";
import { createTokenKey, jwtTokenReviewer, mintToken } from "@lateen/pki";
import { eventually, startApiServer } from "@lateen/test-support";
import { expect, it, onTestFinished } from "vitest";
import { composeSidecarInjector } from "./compose.ts";
import { minorOf } from "./texts.ts";

const WEBHOOKS = {
  apiVersion: "admissionregistration.k8s.io/v1",
  kind: "MutatingWebhookConfiguration",
  metadata: { name: "istio-sidecar-injector" },
  webhooks: [{ name: "namespace.sidecar-injector.istio.io", clientConfig: { service: { name: "x" } } }],
};

/** Citadel as the injector finds it, and a run directory with a token. */
async function citadel(dir: string, scope: Scope): Promise<number> {
  const clock = systemClock();
  const secretStore = { loadCa: async () => undefined, saveCa: async () => {} };
  const ca = await createCitadel({ secretStore, trustDomain: "cluster.local", clock, logger: silentLogger });
  const key = createTokenKey();
  const authenticator = createAuthenticator({
    tokenReviewer: jwtTokenReviewer({ publicPem: key.publicPem }, clock),
    trustDomain: "cluster.local",
  });
  const tls = ca.serverCertificate([...CONTROL_PLANE_NAMES.values()].flat());
  const services = [certificateService(ca.sign, authenticator, silentLogger)];
  const server = await serveGrpc({ host: "127.0.0.1", port: 0, tls, services, logger: silentLogger });
  scope.defer(() => server.close(100));
  const serviceAccount = "istio-sidecar-injector-service-account";
  const token = mintToken(
    { privatePem: key.privatePem, namespace: "istio-system", serviceAccount, ttlSeconds: 600 },
    clock,
  );
  await writeFile(join(dir, "istio-token"), token);
  await writeFile(join(dir, "mounted-root.pem"), ca.rootPem);
  return server.port;
}

async function running() {
  const scope = new Scope();
  const dir = await mkdtemp(join(tmpdir(), "lateen-injector-"));
  const api = await startApiServer();
  onTestFinished(async () => {
    await scope.close();
    await api.stop();
    await rm(dir, { recursive: true });
  });
  api.apply(WEBHOOKS);
  const file = async (name: string, text: string) => {
    await writeFile(join(dir, name), text);
    return join(dir, name);
  };
  const values = await file("values", "revision: one");
  const config = {
    ...{ host: "127.0.0.1", httpHost: undefined, trustDomain: "cluster.local", certTtl: 3_600_000 },
    runDir: join(dir, "run"),
    tokenFile: join(dir, "istio-token"),
    rootCertFile: join(dir, "mounted-root.pem"),
    caAddress: `127.0.0.1:${await citadel(dir, scope)}`,
    ...{ values, injectionConfig: undefined, meshConfig: undefined, kubernetesVersion: "1.34" },
    webhook: ["istio-sidecar-injector"],
    ...{ kubeconfig: await file("kubeconfig", api.kubeconfig()), kubeContext: undefined },
    ...{ webhookPort: 0, metricsPort: 0, portsFile: join(dir, "ports.json") },
  };
  await composeSidecarInjector(config, { scope, logger: silentLogger, signal: scope.signal });
  const ports = JSON.parse(await readFile(config.portsFile, "utf8")) as { webhook: number; metrics: number };
  return { api, dir, file, ports };
}

/** What an API server gets that trusts this bundle. */
function review(port: number, ca: string, pod: object): Promise<{ allowed: boolean; patch?: string }> {
  const object = { metadata: { name: "web" }, spec: { containers: [{ name: "app" }] }, ...pod };
  const asked = { uid: "1", kind: { kind: "Pod" }, namespace: "shop", operation: "CREATE", object };
  const body = JSON.stringify({ apiVersion: "admission.k8s.io/v1", kind: "AdmissionReview", request: asked });
  return new Promise((resolve, reject) => {
    const servername = "istio-sidecar-injector.istio-system.svc";
    const call = request(
      {
        host: "127.0.0.1",
        port,
        path: "/inject",
        method: "POST",
        ca,
        servername,
        agent: false,
        headers: { "content-type": "application/json" },
      },
      (response) => {
        let text = "";
        response.on("data", (part: Buffer) => {
          text += part.toString();
        });
        response.on("end", () =>
          resolve((JSON.parse(text) as { response: { allowed: boolean; patch?: string } }).response),
        );
      },
    );
    call.on("error", reject);
    call.end(body);
  });
}

it("is trusted by the API server, and injects by the configuration on disk", async () => {
  const { api, ports, file } = await running();
  const bundle = await eventually("the bundle", async () => {
    const stored = api.get(WEBHOOKS.apiVersion, WEBHOOKS.kind, "istio-sidecar-injector");
    const webhooks = stored?.webhooks as { clientConfig: { caBundle?: string } }[] | undefined;
    return webhooks?.[0]?.clientConfig.caBundle;
  });
  const ca = Buffer.from(bundle, "base64").toString();
  const patchOf = async (pod = {}) =>
    Buffer.from((await review(ports.webhook, ca, pod)).patch ?? "", "base64").toString();
  const patch = await patchOf();
  expect(patch).toContain('"revision\\":\\"one\\"');
  // Kubernetes 1.34.
  expect(patch).toContain('"restartPolicy":"Always"');
  await file("values", "revison: broken");
  await file("values", "revision: two");
  await eventually(
    "the new configuration",
    async () => ((await patchOf()).includes('\\"two\\"') ? true : undefined),
    60_000,
  );
  const bad = { metadata: { name: "web", annotations: { "sidecar.istio.io/logLevel": "loud" } } };
  expect((await review(ports.webhook, ca, bad)).allowed).toBe(false);
  const ready = await fetch(`http://127.0.0.1:${ports.metrics}/ready`);
  expect(ready.status).toBe(200);
  const metrics = await (await fetch(`http://127.0.0.1:${ports.metrics}/metrics`)).text();
  expect(metrics).toContain("sidecar_injection_failure_total 1");
}, 120_000);

it.each([
  ["1.34", 34],
  ["v1.33.1+k3s1", 33],
  ["2.0", undefined],
  [undefined, undefined],
])("reads version %s", (version, minor) => {
  expect(minorOf(version)).toBe(minor);
});
