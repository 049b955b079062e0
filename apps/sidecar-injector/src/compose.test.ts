import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { certificateService, serveGrpc } from "@lateen/adapter-grpc";
import { isPermitted } from "@lateen/adapter-kubernetes";
import { allControlPlaneNames, createAuthenticator, createCitadel } from "@lateen/citadel";
import { Scope, silentLogger, systemClock } from "@lateen/kernel";
import { createTokenKey, jwtTokenReviewer, mintToken } from "@lateen/pki";
import { eventually, startApiServer, type TestApiServer } from "@lateen/test-support";
import { expect, it, onTestFinished } from "vitest";
import { composeSidecarInjector } from "./compose.ts";

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
  const tls = ca.serverCertificate(allControlPlaneNames());
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

const PROXY_CONFIGS = {
  group: "networking.istio.io",
  versions: ["v1beta1"],
  plural: "proxyconfigs",
  kind: "ProxyConfig",
  namespaced: true,
};

/** One ProxyConfig of namespace shop. */
function proxyConfig(name: string, spec: object, metadata: object = {}) {
  return {
    apiVersion: "networking.istio.io/v1beta1",
    kind: "ProxyConfig",
    metadata: { name, namespace: "shop", ...metadata },
    spec,
  };
}

async function running({ config: configured = [], objects = [] }: { config?: string[]; objects?: object[] } = {}) {
  const scope = new Scope();
  const dir = await mkdtemp(join(tmpdir(), "lateen-injector-"));
  const api = await startApiServer({ resources: [PROXY_CONFIGS] });
  api.authorize = (request) => isPermitted("sidecar-injector", request);
  onTestFinished(async () => {
    await scope.close();
    await api.stop();
    await rm(dir, { recursive: true });
  });
  for (const object of [WEBHOOKS, ...objects]) api.apply(object as typeof WEBHOOKS);
  const file = async (name: string, text: string) => {
    await writeFile(join(dir, name), text);
    return join(dir, name);
  };
  const values = await file("values", "revision: one");
  const config = {
    ...{
      host: "127.0.0.1",
      httpHost: undefined,
      trustDomain: "cluster.local",
      revision: "default",
      certTtl: 3_600_000,
    },
    runDir: join(dir, "run"),
    tokenFile: join(dir, "istio-token"),
    rootCertFile: join(dir, "mounted-root.pem"),
    caAddress: `127.0.0.1:${await citadel(dir, scope)}`,
    ...{ values, injectionConfig: undefined, meshConfig: undefined, kubernetesVersion: "1.34" },
    ...{ webhook: ["istio-sidecar-injector"], config: configured },
    ...{ kubeconfig: await file("kubeconfig", api.kubeconfig()), kubeContext: undefined },
    ...{ webhookPort: 0, metricsPort: 0, portsFile: join(dir, "ports.json") },
  };
  await composeSidecarInjector(config, { scope, logger: silentLogger, signal: scope.signal });
  const ports = JSON.parse(await readFile(config.portsFile, "utf8")) as { webhook: number; metrics: number };
  return { api, dir, file, ports, ca: () => bundleOf(api) };
}

/** What the API server comes to trust. */
async function bundleOf(api: TestApiServer): Promise<string> {
  const bundle = await eventually("the bundle", async () => {
    const stored = api.get(WEBHOOKS.apiVersion, WEBHOOKS.kind, "istio-sidecar-injector");
    const webhooks = stored?.webhooks as { clientConfig: { caBundle?: string } }[] | undefined;
    return webhooks?.[0]?.clientConfig.caBundle;
  });
  return Buffer.from(bundle, "base64").toString();
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
  const { ports, file, ca: trusted } = await running();
  const ca = await trusted();
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

it("obeys the ProxyConfigs of the API server from the first pod on, and follows them", async () => {
  const {
    api,
    ports,
    ca: trusted,
  } = await running({
    config: ["kubernetes"],
    objects: [
      proxyConfig("wide", { concurrency: 3, environmentVariables: { COLOUR: "red" } }),
      proxyConfig(
        "canary",
        { concurrency: 9, selector: { matchLabels: { app: "web" } } },
        { labels: { "istio.io/rev": "canary" } },
      ),
    ],
  });
  const ca = await trusted();
  const patchOf = async () => {
    const { patch = "" } = await review(ports.webhook, ca, { metadata: { name: "web", labels: { app: "web" } } });
    return Buffer.from(patch, "base64").toString();
  };
  const first = await patchOf();
  expect(first).toContain('{"name":"COLOUR","value":"red"}');
  // Not that of another revision.
  expect(first).toContain('\\"concurrency\\":3');
  api.apply(proxyConfig("wide", { concurrency: -1 }));
  api.apply(proxyConfig("web", { selector: { matchLabels: { app: "web" } }, image: { imageType: "debug" } }));
  const followed = await eventually("the new object", async () => {
    const now = await patchOf();
    return now.includes("-debug") ? now : undefined;
  });
  // A bad one leaves the one before.
  expect(followed).toContain('\\"concurrency\\":3');
  api.delete("networking.istio.io/v1beta1", "ProxyConfig", "wide", "shop");
  await eventually("its end", async () => ((await patchOf()).includes("COLOUR") ? undefined : true));
}, 120_000);

it("takes ProxyConfigs from files as well, and not from both", async () => {
  const dir = await mkdtemp(join(tmpdir(), "lateen-injector-rules-"));
  onTestFinished(() => rm(dir, { recursive: true }));
  await writeFile(join(dir, "rules.yaml"), JSON.stringify(proxyConfig("wide", { concurrency: 7 })));
  const { ports, ca } = await running({ config: [dir] });
  const { patch = "" } = await review(ports.webhook, await ca(), {});
  expect(Buffer.from(patch, "base64").toString()).toContain('\\"concurrency\\":7');
  await expect(running({ config: [dir, "kubernetes"] })).rejects.toThrow("cannot be mixed with files");
}, 120_000);
