import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connectAds, connectAls, signCsr } from "@lateen/adapter-grpc";
import { type Clock, Scope, seededRandom, silentLogger, systemClock } from "@lateen/kernel";
import { certificateFacts, createCsr, createRootCa, issueCertificate } from "@lateen/pki";
import { xdsTypes } from "@lateen/xds";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { AgentConfig } from "./options.ts";
import { runAgent } from "./run-agent.ts";
import { SERVER_NAME, TestControlPlane } from "./testing/control-plane.ts";
import { fakeWorker } from "./testing/fake-worker.ts";
import { ManualClock } from "./testing/manual-clock.ts";
import { certificateSecret, edsCluster, endpoints, httpListener, routes, tcpListener } from "./testing/resources.ts";

const undo: (() => Promise<unknown>)[] = [];
let runDir = "";

beforeEach(async () => {
  runDir = await mkdtemp(join(tmpdir(), "lateen-agent-"));
  undo.push(() => rm(runDir, { recursive: true }));
});
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

/** Lets I/O happen until the check holds; the test's time limit ends what never comes. */
async function until(check: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await check())) await new Promise((resolve) => setImmediate(resolve));
}

async function controlPlane(clock: Clock = systemClock()): Promise<TestControlPlane> {
  const plane = new TestControlPlane(clock);
  await plane.start();
  undo.push(() => plane.stop());
  return plane;
}

async function provision(plane: TestControlPlane): Promise<void> {
  await writeFile(join(runDir, "token"), "shop/web\n");
  await writeFile(join(runDir, "root-cert.pem"), plane.ca.rootPem);
}

function configOf(address: string | undefined, more: Partial<AgentConfig> = {}): AgentConfig {
  return {
    facts: {
      role: "sidecar",
      podName: "web-1",
      namespace: "shop",
      instanceIp: "127.0.0.1",
      serviceAccount: "web",
      workloadName: "web",
      clusterId: "local",
      meshId: "mesh",
      trustDomain: "cluster.local",
      domain: "cluster.local",
      labels: { app: "web" },
      podPorts: [],
      metadata: {},
    },
    runDir,
    discoveryAddress: address,
    caAddress: address,
    telemetryAddress: undefined,
    serverName: SERVER_NAME,
    captureFile: undefined,
    envoyConfigFile: undefined,
    adminAddress: undefined,
    statusAddress: undefined,
    adminPort: 0,
    statusPort: 0,
    healthPort: 0,
    statsPort: 0,
    concurrency: 1,
    maxConnections: 100,
    certTtlMs: 3_600_000,
    drainTimeMs: 100,
    version: "0.0.0",
    logLevel: "info",
    ...more,
  };
}

async function start(config: AgentConfig, clock: Clock = systemClock()) {
  const scope = new Scope();
  const quits: number[] = [];
  undo.push(() => scope.close());
  const agent = await runAgent(
    config,
    {
      clock,
      random: seededRandom(1),
      logger: silentLogger,
      httpFilters: [],
      networkFilters: [],
      workerEntry: fakeWorker,
      loadClients: async () => ({ connectAds, connectAls, signCsr }),
      quit: () => void quits.push(1),
    },
    scope,
  );
  const ask = (port: number | undefined, path: string, options: { method?: string; headers?: object } = {}) =>
    call(port ?? 0, path, options);
  const admin = (path: string, options = {}) => ask(agent.ports.admin, path, options);
  const json = async (path: string) => JSON.parse((await admin(path)).body);
  return { agent, scope, quits, ask, admin, json };
}

/** fetch() may not set Host. */
function call(port: number, path: string, { method = "GET", headers = {} }: { method?: string; headers?: object }) {
  return new Promise<{ status: number; body: string }>((resolve, reject) => {
    const sent = request({ host: "127.0.0.1", port, path, method, headers: { ...headers } }, (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (text: string) => {
        body += text;
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body }));
    });
    sent.on("error", reject);
    sent.end();
  });
}

const mesh = () => [
  edsCluster("reviews"),
  endpoints("reviews", "10.0.0.1"),
  httpListener("http", "routes"),
  routes("routes", "reviews"),
  tcpListener("mtls", "reviews", { certificate: "default", trust: "ROOTCA" }),
];

describe("with a control plane", () => {
  it("gets a certificate, puts the configuration in force and is ready", async () => {
    const plane = await controlPlane();
    plane.set(mesh());
    await provision(plane);
    const { agent, ask, admin, json } = await start(configOf(plane.address));
    await until(() => agent.notReady() === undefined);
    expect((await ask(agent.ports.health, "/healthz/ready")).status).toBe(200);
    expect((await ask(agent.ports.status, "/healthz/ready")).status).toBe(200);
    expect((await admin("/listeners")).body.split("\n").sort()).toEqual([
      "",
      "http::0.0.0.0:9080",
      "mtls::0.0.0.0:9000",
    ]);
    const certificate = await readFile(join(runDir, "cert-chain.pem"), "utf8");
    expect(certificateFacts(certificate).uriSans).toEqual(["spiffe://cluster.local/ns/shop/sa/web"]);
    for (const file of ["key.pem", "cert-chain.pem"]) expect((await stat(join(runDir, file))).mode & 0o777).toBe(0o600);
    const dump = JSON.stringify(await json("/config_dump?include_eds"));
    for (const name of ["reviews", "10.0.0.1", "routes", "ROOTCA"]) expect(dump).toContain(name);
    const key = await readFile(join(runDir, "key.pem"), "utf8");
    expect(dump).not.toContain(Buffer.from(key).toString("base64").slice(0, 60));
    expect(plane.nacks).toEqual([]);
  });

  it("follows changes and removals", async () => {
    const plane = await controlPlane();
    plane.set(mesh());
    await provision(plane);
    const { agent, admin } = await start(configOf(plane.address));
    await until(() => agent.notReady() === undefined);
    plane.set([httpListener("more", "routes", 9999)]);
    await until(async () => (await admin("/listeners")).body.includes("more::0.0.0.0:9999"));
    plane.remove(xdsTypes.listener, "more");
    await until(async () => !(await admin("/listeners")).body.includes("more"));
    plane.set([endpoints("reviews", "10.0.0.2")]);
    await until(async () => (await admin("/clusters")).body.includes("reviews::10.0.0.2:80::weight::1"));
  });

  it.each([
    ["that does not decode", edsCluster("bad", { lbPolicy: 2 }), "bad: lb_policy: RING_HASH is not supported"],
    ["the worker cannot apply", tcpListener("refused", "reviews"), "refused: address in use"],
  ])("refuses one resource %s, with its reason, and keeps the others", async (_title, resource, reason) => {
    const plane = await controlPlane();
    plane.set([...mesh(), resource]);
    await provision(plane);
    const { agent, admin } = await start(configOf(plane.address));
    await until(() => agent.notReady() === undefined && plane.nacks.length > 0);
    expect(plane.nacks[0]?.reason).toContain(reason);
    expect((await admin("/listeners")).body).toContain("http::");
    expect((await admin("/config_dump")).body).toContain(reason.slice(reason.indexOf(": ") + 2));
    expect((await admin("/stats?filter=lateen_agent_refused_resources")).body).toBe(
      "lateen_agent_refused_resources: 1\n",
    );
  });

  it("keeps the version before a refused one in force", async () => {
    const plane = await controlPlane();
    plane.set(mesh());
    await provision(plane);
    const { agent, admin } = await start(configOf(plane.address));
    await until(() => agent.notReady() === undefined);
    plane.set([edsCluster("reviews", { lbPolicy: 5 })]);
    await until(() => plane.nacks.length > 0);
    const clusters = (await admin("/clusters")).body;
    expect(clusters).toContain(
      "reviews::10.0.0.1:80::health_flags::/failed_outlier_check".replace("/failed_outlier_check", "healthy"),
    );
  });

  it("tries a listener again that could not be opened", async () => {
    const clock = new ManualClock();
    const plane = await controlPlane(clock);
    plane.set([...mesh(), tcpListener("once", "reviews")]);
    await provision(plane);
    const { agent, admin } = await start(configOf(plane.address), clock);
    await until(() => agent.notReady() === undefined && plane.nacks.length === 1);
    expect((await admin("/listeners")).body).not.toContain("once::");
    clock.advance(5000);
    await until(async () => (await admin("/listeners")).body.includes("once::"));
    expect((await admin("/stats?filter=lateen_agent_refused_resources")).body).toContain(": 0\n");
  });

  it("renews the certificate before it expires, on the same stream", async () => {
    const clock = new ManualClock();
    const plane = await controlPlane(clock);
    plane.set(mesh());
    await provision(plane);
    const { agent, json } = await start(configOf(plane.address), clock);
    await until(() => agent.notReady() === undefined);
    const serial = async () => (await json("/certs")).certificates[0].certChain[0].serialNumber as string;
    const first = await serial();
    const streams = plane.callers.length;
    clock.advance(0.4 * 3_600_000);
    expect(plane.signed).toBe(1);
    clock.advance(0.2 * 3_600_000);
    await until(async () => (await serial()) !== first);
    expect(plane.signed).toBe(2);
    expect(plane.callers.length).toBe(streams);
  });

  it("goes on with its certificate while the CA fails, and tries again", async () => {
    const clock = new ManualClock();
    const plane = await controlPlane(clock);
    plane.set(mesh());
    await provision(plane);
    const { agent, admin } = await start(configOf(plane.address), clock);
    await until(() => agent.notReady() === undefined);
    plane.signFailure = "closed for today";
    clock.advance(0.6 * 3_600_000);
    const failures = async () => (await admin("/stats?filter=certificate_failures")).body;
    await until(async () => (await failures()).endsWith(": 1\n"));
    expect(agent.notReady()).toBeUndefined();
    plane.signFailure = undefined;
    clock.advance(60_000);
    await until(async () => (await failures()).endsWith(": 0\n"));
  });

  it("says why it is not ready", async () => {
    const plane = await controlPlane();
    await provision(plane);
    plane.signFailure = "closed for today";
    const { agent, ask } = await start(configOf(plane.address));
    await until(async () => (await ask(agent.ports.health, "/healthz/ready")).body.includes("closed for today"));
    expect((await ask(agent.ports.health, "/healthz/ready")).status).toBe(503);
  });

  it("takes over a mounted certificate that was replaced", async () => {
    const clock = new ManualClock();
    const plane = await controlPlane(clock);
    const [chain, key] = [join(runDir, "mounted.pem"), join(runDir, "mounted-key.pem")];
    await writeFile(chain, plane.ca.certPem);
    await writeFile(key, plane.ca.keyPem);
    plane.set([
      edsCluster("reviews"),
      tcpListener("tls", "reviews", { certificate: `file-cert:${chain}~${key}`, trust: "ROOTCA" }),
    ]);
    await provision(plane);
    const { agent, json } = await start(configOf(plane.address), clock);
    await until(() => agent.notReady() === undefined);
    const serial = async () => {
      const [{ certChain }] = (await json("/certs")).certificates;
      return certChain.find(({ path }: { path: string }) => path.includes("file-cert"))?.serialNumber;
    };
    expect(await serial()).toBe(certificateFacts(plane.ca.certPem).serial);
    const replacement = createRootCa({ trustDomain: "cluster.local" }, clock);
    await writeFile(chain, replacement.certPem);
    clock.advance(10_000);
    await until(async () => (await serial()) === certificateFacts(replacement.certPem).serial);
  });

  it("asks the control plane for a gateway's credentials", async () => {
    const plane = await controlPlane();
    const name = "kubernetes://shop-credential";
    plane.set([edsCluster("reviews"), tcpListener("tls", "reviews", { certificate: name, trust: "ROOTCA" })]);
    plane.set([certificateSecret(name, plane.ca.certPem, plane.ca.keyPem)]);
    await provision(plane);
    const { agent, scope, admin } = await start(configOf(plane.address));
    await until(() => agent.notReady() === undefined);
    expect((await admin("/certs")).body).toContain(name);
    await scope.close();
    const memory = await readFile(join(runDir, "last-good", "config.pb"), "latin1");
    expect(memory).toContain(name);
    expect(memory).not.toContain("PRIVATE KEY");
  });

  it("forwards access records and counts what was lost", async () => {
    const plane = await controlPlane();
    plane.set([...mesh(), tcpListener("logs", "reviews")]);
    await provision(plane);
    const { admin } = await start(configOf(plane.address, { telemetryAddress: plane.address }));
    await until(() => plane.logs.length > 0);
    const entries = plane.logs[0]?.logEntries;
    expect(entries?.$case === "httpLogs" && entries.value.logEntry[0]?.request?.path).toBe("/logs");
    expect(plane.logs[0]?.identifier?.node?.id).toBe("sidecar~127.0.0.1~web-1.shop~shop.svc.cluster.local");
    expect((await admin("/stats?filter=records_dropped")).body).toBe("lateen_access_log_records_dropped_total: 1\n");
  });
});

describe("without a control plane", () => {
  it("starts from what was last in force", async () => {
    const plane = await controlPlane();
    plane.set(mesh());
    await provision(plane);
    const first = await start(configOf(plane.address));
    await until(() => first.agent.notReady() === undefined);
    await first.scope.close();
    const { mode } = await stat(join(runDir, "last-good", "config.pb"));
    expect(mode & 0o777).toBe(0o600);
    const address = plane.address;
    await plane.stop();
    const second = await start(configOf(address));
    await until(() => second.agent.notReady() === undefined);
    expect((await second.admin("/listeners")).body).toContain("http::0.0.0.0:9080");
    expect((await second.admin("/clusters")).body).toContain("reviews::10.0.0.1:80::weight::1");
  });

  it("lays the differences of a control plane that came back over it", async () => {
    const plane = await controlPlane();
    plane.set([...mesh(), httpListener("old", "routes", 1111)]);
    await provision(plane);
    const first = await start(configOf(plane.address));
    await until(() => first.agent.notReady() === undefined);
    await first.scope.close();
    plane.remove(xdsTypes.listener, "old");
    plane.set([httpListener("new", "routes", 2222)]);
    const second = await start(configOf(plane.address));
    await until(async () => (await second.admin("/listeners")).body.includes("new::"));
    const listeners = (await second.admin("/listeners")).body;
    expect(listeners).toContain("http::");
    expect(listeners).not.toContain("old::");
  });

  it("asks for a new certificate when the one on disk is of another CA", async () => {
    const before = await controlPlane();
    before.set(mesh());
    await provision(before);
    const first = await start(configOf(before.address));
    await until(() => first.agent.notReady() === undefined);
    await first.scope.close();
    const plane = new TestControlPlane(systemClock());
    await plane.start();
    undo.push(() => plane.stop());
    plane.set(mesh());
    await provision(plane);
    const second = await start(configOf(plane.address));
    await until(() => second.agent.notReady() === undefined && plane.signed === 1);
  });
});

describe("workers", () => {
  it("starts one that died again, with everything that is in force", async () => {
    const plane = await controlPlane();
    plane.set(mesh());
    await provision(plane);
    const { agent, admin } = await start(configOf(plane.address, { concurrency: 2 }));
    await until(() => agent.notReady() === undefined);
    plane.set([tcpListener("fatal", "reviews")]);
    await until(async () => (await admin("/stats?filter=worker_restarts")).body.endsWith(": 1\n"));
    await until(async () => (await admin("/stats?filter=istio_requests")).body.endsWith(": 15\n"));
    expect((await admin("/listeners")).body).toContain("http::");
  });
});

describe("an Envoy bootstrap", () => {
  const bootstrap = async (text: string) => {
    const path = join(runDir, "bootstrap.yaml");
    await writeFile(path, text);
    return configOf(undefined, {
      runDir: undefined,
      caAddress: undefined,
      adminPort: undefined,
      envoyConfigFile: path,
    });
  };
  const ADMIN = "admin: { address: { socket_address: { address: 127.0.0.1, port_value: 0 } } }";
  const xdsCluster = (port: number, transport: string) => `
${ADMIN}
node: { id: sidecar~127.0.0.1~web-1.shop~shop.svc.cluster.local, cluster: web }
dynamic_resources:
  ads_config: { api_type: DELTA_GRPC, grpc_services: [{ envoy_grpc: { cluster_name: xds } }] }
  cds_config: { ads: {} }
  lds_config: { ads: {} }
static_resources:
  clusters:
    - name: xds
      type: STATIC
      load_assignment: { cluster_name: xds, endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: ${port} } } } }] }] }
      typed_extension_protocol_options:
        envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
          "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
          explicit_http_config: { http2_protocol_options: {} }
${transport}
`;

  it("with ADS follows that server", async () => {
    const plane = await controlPlane();
    plane.set([edsCluster("reviews"), endpoints("reviews", "10.0.0.1"), tcpListener("plain", "reviews")]);
    const { csrPem, privateKeyPem } = createCsr({ spiffeId: "spiffe://x" });
    const spiffeId = "spiffe://cluster.local/ns/shop/sa/web";
    const { certPem } = issueCertificate(plane.ca, { csrPem, spiffeId, ttlSeconds: 60 }, systemClock());
    const files = { root: plane.ca.rootPem, chain: certPem, key: privateKeyPem };
    for (const [name, text] of Object.entries(files)) await writeFile(join(runDir, name), text);
    const transport = `
      transport_socket:
        name: envoy.transport_sockets.tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
          sni: ${SERVER_NAME}
          common_tls_context:
            tls_certificates: [{ certificate_chain: { filename: ${runDir}/chain }, private_key: { filename: ${runDir}/key } }]
            validation_context: { trusted_ca: { filename: ${runDir}/root } }`;
    const { agent, admin } = await start(await bootstrap(xdsCluster(Number(plane.address.split(":")[1]), transport)));
    await until(() => agent.notReady() === undefined);
    expect((await admin("/listeners")).body).toBe("plain::0.0.0.0:9000\n");
    expect(plane.callers[0]).toMatchObject({ namespace: "shop", serviceAccount: "web" });
  });

  it.each([
    ["ADS without TLS", xdsCluster(1, ""), "ADS without TLS is not supported"],
    [
      "a cluster that is refused",
      "static_resources: { clusters: [{ name: a, lb_policy: MAGLEV }] }",
      "a: lb_policy: MAGLEV",
    ],
    ["a file that is no YAML", "a: [", "cannot use"],
  ])("with %s ends the start", async (_title, text, reason) => {
    await expect(start(await bootstrap(text))).rejects.toMatchObject({
      code: "LTN5001",
      message: expect.stringContaining(reason),
    });
  });
});

describe("admin interface", () => {
  const file = async (text: string) => {
    const path = join(runDir, "bootstrap.yaml");
    await writeFile(path, text);
    return path;
  };
  const empty = () => file("static_resources: {}");
  const onlyStatic = async (more: Partial<AgentConfig> = {}) =>
    await start(
      configOf(undefined, { runDir: undefined, caAddress: undefined, envoyConfigFile: await empty(), ...more }),
    );

  it.each([
    [{ host: "evil.example" }],
    [{ host: "evil.example:15000" }],
    [{ origin: "http://evil.example" }],
    [{ "sec-fetch-site": "cross-site" }],
  ])("does not answer %o", async (headers) => {
    const { admin, quits } = await onlyStatic();
    expect((await admin("/config_dump", { headers })).status).toBe(403);
    expect((await admin("/quitquitquit", { method: "POST", headers })).status).toBe(403);
    expect(quits).toEqual([]);
  });

  it("listens on loopback only", async () => {
    await expect(onlyStatic({ adminAddress: "0.0.0.0" })).rejects.toMatchObject({ code: "LTN5003" });
  });

  it.each([
    ["GET", "/quitquitquit", 405],
    ["GET", "/drain_listeners", 405],
    ["POST", "/config_dump", 405],
    ["GET", "/nothing", 404],
    ["GET", "/help", 200],
    ["GET", "/ready", 200],
    ["GET", "/server_info", 200],
    ["GET", "/stats/prometheus", 200],
    ["POST", "/logging?level=shout", 400],
    ["GET", "/stats?filter=(", 400],
  ])("%s %s answers %i", async (method, path, status) => {
    const { admin } = await onlyStatic();
    expect((await admin(path, { method })).status).toBe(status);
  });

  it("quits on request and is not ready from then on", async () => {
    const { agent, admin, quits } = await onlyStatic();
    expect(agent.notReady()).toBeUndefined();
    expect((await admin("/quitquitquit", { method: "POST" })).status).toBe(200);
    await until(() => quits.length === 1);
    expect(agent.notReady()).toBe("draining");
  });

  it("drains when its scope closes", async () => {
    const { agent, scope } = await onlyStatic();
    await scope.close();
    expect(agent.notReady()).toBe("draining");
  });
});
