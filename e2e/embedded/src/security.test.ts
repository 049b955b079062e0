import { readFile } from "node:fs/promises";
import https from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { systemClock } from "@lateen/kernel";
import { createCsr, createRootCa, issueCertificate } from "@lateen/pki";
import type { CaMaterial } from "@lateen/ports";
import { eventually } from "@lateen/test-support";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { call, exchange } from "./harness/http.ts";
import { type Mesh, sampleRule, startMesh } from "./harness/mesh.ts";

const clock = systemClock();

/** Key and certificate of a workload, issued by `ca`. */
function credentials(ca: CaMaterial, serviceAccount: string) {
  const spiffeId = `spiffe://cluster.local/ns/default/sa/${serviceAccount}`;
  const { csrPem, privateKeyPem } = createCsr({ spiffeId });
  const { certPem } = issueCertificate(ca, { csrPem, spiffeId, ttlSeconds: 3600 }, clock);
  return { key: privateKeyPem, cert: certPem };
}

async function meshCa(mesh: Mesh): Promise<CaMaterial> {
  const file = (name: string) => readFile(join(mesh.state, "ca", name), "utf8");
  return {
    certPem: await file("ca-cert.pem"),
    keyPem: await file("ca-key.pem"),
    rootPem: await file("root-cert.pem"),
    chainPem: "",
  };
}

/** One request as a sidecar would send it: mTLS with the ALPN of a mesh. Resolves to the status, or to `refused: why`. */
function callTls(host: string, port: number, path: string, pair: { key: string; cert: string }): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  // The server's SPIFFE name is not a DNS name; who answers is not the question here.
  const agent = new https.Agent({ ...pair, rejectUnauthorized: false, ALPNProtocols: ["istio"] });
  const request = https.request(
    { host, port, path, agent, headers: { host: "ratings:9080" }, timeout: 5000 },
    (response) => {
      response.resume();
      response.on("end", () => {
        agent.destroy();
        resolve(String(response.statusCode));
      });
      response.on("error", (error) => resolve(`refused: ${error.message}`));
    },
  );
  request.on("timeout", () => request.destroy(new Error("no answer")));
  request.on("error", (error) => resolve(`refused: ${error.message}`));
  request.end();
  return promise;
}

describe("identity decides who talks to whom", () => {
  let mesh: Mesh;
  let ca: CaMaterial;
  const servers: https.Server[] = [];
  beforeAll(async () => {
    mesh = await startMesh();
    ca = await meshCa(mesh);
  });
  afterAll(async () => {
    for (const server of servers) server.close();
    await mesh?.down();
  });

  it("serves a plaintext caller under PERMISSIVE and refuses it under STRICT", async () => {
    const { address } = await mesh.pod("details-v1");
    const plaintext = () =>
      exchange(address, 9080, "GET /details/0 HTTP/1.1\r\nHost: details:9080\r\nConnection: close\r\n\r\n");
    expect(await plaintext()).toMatch(/^HTTP\/1\.1 200 /);
    await mesh.rule("strict-mtls");
    await eventually("plaintext is refused", async () => ((await plaintext()) === "" ? true : undefined));
    expect((await call(mesh.url("/api/v1/products/0"))).status).toBe(200);
    await mesh.write("rule.yaml", undefined);
    await eventually("plaintext is served again", async () =>
      (await plaintext()).startsWith("HTTP/1.1 200 ") ? true : undefined,
    );
  });

  it("refuses a client whose certificate another authority signed", async () => {
    await mesh.rule("strict-mtls");
    const { address } = await mesh.pod("ratings-v1");
    const stranger = createRootCa({ trustDomain: "cluster.local" }, clock);
    await mesh.synced();
    expect(await callTls(address, 9080, "/ratings/0", credentials(stranger, "bookinfo-reviews"))).toMatch(/^refused/);
    expect(await callTls(address, 9080, "/ratings/0", credentials(ca, "bookinfo-reviews"))).toBe("200");
  });

  it("lets only the identity that a policy names pass", async () => {
    await mesh.write("rule.yaml", `${await sampleRule("strict-mtls")}\n---\n${await sampleRule("authorization")}`);
    const { address } = await mesh.pod("ratings-v1");
    await eventually("another identity is denied", async () =>
      (await callTls(address, 9080, "/ratings/0", credentials(ca, "bookinfo-details"))) === "403" ? true : undefined,
    );
    expect(await callTls(address, 9080, "/ratings/0", credentials(ca, "bookinfo-reviews"))).toBe("200");
    expect((await call(mesh.url("/api/v1/products/0/reviews"))).status).toBe(200);
    await mesh.write("rule.yaml", undefined);
  });

  it("refuses a server that has a wrong SPIFFE identity", async () => {
    const server = https.createServer(
      { ...credentials(ca, "impostor"), ca: ca.rootPem, requestCert: true, rejectUnauthorized: true },
      (_request, response) => response.end("from the impostor"),
    );
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const rules = (expected: string) => `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: vault }
spec:
  hosts: [vault.example.com]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{ number: 80, name: http, protocol: HTTP }]
  endpoints: [{ address: 127.0.0.1, ports: { http: ${(server.address() as AddressInfo).port} } }]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: vault }
spec:
  host: vault.example.com
  trafficPolicy:
    tls: { mode: ISTIO_MUTUAL, subjectAltNames: ["spiffe://cluster.local/ns/default/sa/${expected}"] }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: vault }
spec:
  hosts: [vault.example.com]
  gateways: [bookinfo-gateway]
  http:
    - route: [{ destination: { host: vault.example.com, port: { number: 80 } } }]
`;
    const ask = () => call(mesh.url("/"), { headers: { host: "vault.example.com" } });
    await mesh.write("vault.yaml", rules("impostor"));
    await eventually("the named identity is accepted", async () =>
      (await ask()).body === "from the impostor" ? true : undefined,
    );
    await mesh.write("vault.yaml", rules("vault"));
    const refused = await eventually("another is refused", async () => {
      const answer = await ask();
      return answer.status === 503 ? answer : undefined;
    });
    expect(refused.body).toMatch(/^upstream connect error or disconnect\/reset before headers/);
    expect(refused.body).not.toContain("impostor");
  });
});
