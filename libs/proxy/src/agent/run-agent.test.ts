import { once } from "node:events";
import { readFile, readlink, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { systemClock } from "@lateen/kernel";
import { certificateFacts, createRootCa } from "@lateen/pki";
import { manualClock } from "@lateen/test-support";
import { xdsTypes } from "@lateen/xds";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { TestControlPlane } from "./testing/control-plane.ts";
import {
  cleanUp,
  configOf,
  controlPlane,
  mesh,
  provision,
  runDir,
  start,
  until,
  useRunDirectory,
} from "./testing/harness.ts";
import { certificateSecret, edsCluster, endpoints, httpListener, tcpListener } from "./testing/resources.ts";

useRunDirectory({ beforeEach, afterEach });

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

  it("takes token and root certificate from where a platform mounts them, and gives the application's metrics", async () => {
    const plane = await controlPlane();
    plane.set(mesh());
    await provision(plane);
    const [tokenFile, rootCertFile] = [join(runDir, "token"), join(runDir, "root-cert.pem")];
    const app = createServer((_, response) => response.end("app_jobs 7\nprocess_resident_memory_bytes 1\n"));
    cleanUp(async () => void app.close());
    await once(app.listen(0, "127.0.0.1"), "listening");
    const appMetrics = { port: (app.address() as AddressInfo).port, path: "/metrics" };
    const own = join(runDir, "proxy");
    const config = configOf(plane.address, { runDir: own, projected: { tokenFile, rootCertFile }, appMetrics });
    const { agent, ask } = await start(config);
    await until(() => agent.notReady() === undefined);
    expect(await readlink(join(own, "token"))).toBe(tokenFile);
    const merged = (await ask(agent.ports.status, "/stats/prometheus")).body;
    expect(merged).toContain("\nenvoy_server_live 1\n");
    expect(merged).toContain("\napp_jobs 7\n");
    expect(merged.match(/^process_resident_memory_bytes /gm)).toHaveLength(1);
    expect((await ask(agent.ports.stats, "/stats/prometheus")).body).not.toContain("app_jobs");
    app.close();
    app.closeAllConnections();
    expect((await ask(agent.ports.status, "/stats/prometheus")).body).toContain("\nenvoy_server_live 1\n");
    expect((await ask(agent.ports.stats, "/stats/prometheus")).body).toContain(
      'istio_agent_scrape_failures_total{type="application"} 1',
    );
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
    ["that does not decode", edsCluster("bad", { lbPolicy: 7 }), "bad: lb_policy: 7 is not supported"],
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
    plane.set([edsCluster("reviews", { lbPolicy: 7 })]);
    await until(() => plane.nacks.length > 0);
    const clusters = (await admin("/clusters")).body;
    expect(clusters).toContain(
      "reviews::10.0.0.1:80::health_flags::/failed_outlier_check".replace("/failed_outlier_check", "healthy"),
    );
  });

  it("tries a listener again that could not be opened", async () => {
    const clock = manualClock(Date.now());
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
    const clock = manualClock(Date.now());
    const plane = await controlPlane(clock);
    plane.set(mesh());
    await provision(plane);
    const { agent, json } = await start(configOf(plane.address), clock);
    await until(() => agent.notReady() === undefined);
    const serial = async () => (await json("/certs")).certificates[0].cert_chain[0].serial_number as string;
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
    const clock = manualClock(Date.now());
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
    const clock = manualClock(Date.now());
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
      const [{ cert_chain: chain }] = (await json("/certs")).certificates;
      return chain.find(({ path }: { path: string }) => path.includes("file-cert"))?.serial_number;
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
    cleanUp(() => plane.stop());
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
