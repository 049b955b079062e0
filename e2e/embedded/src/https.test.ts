import { writeFile } from "node:fs/promises";
import https from "node:https";
import { join } from "node:path";
import type { TLSSocket } from "node:tls";
import { createTestCa, eventually, type TestCertificate } from "@lateen/test-support";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { call } from "./harness/http.ts";
import { type Mesh, runCommand, startMesh } from "./harness/mesh.ts";

const ca = createTestCa("shop");
const clients = createTestCa("clients");

function secret(name: string, pair: TestCertificate, options: { namespace?: string; roots?: string } = {}): string {
  const base64 = (text: string) => Buffer.from(text).toString("base64");
  const roots = options.roots === undefined ? "" : `, ca.crt: ${base64(options.roots)}`;
  return `
apiVersion: v1
kind: Secret
metadata: { name: ${name}, namespace: ${options.namespace ?? "istio-system"} }
type: kubernetes.io/tls
data: { tls.crt: ${base64(pair.certPem)}, tls.key: ${base64(pair.keyPem)}${roots} }
---`;
}

const SECURE = `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: secure }
spec:
  selector: { istio: ingressgateway }
  servers:
    - { port: { number: 80, name: http, protocol: HTTP }, hosts: [shop.example.com], tls: { httpsRedirect: true } }
    - port: { number: 443, name: https, protocol: HTTPS }
      hosts: [shop.example.com]
      tls: { mode: SIMPLE, credentialName: shop }
    - port: { number: 443, name: https-staff, protocol: HTTPS }
      hosts: [staff.example.com]
      tls: { mode: MUTUAL, credentialName: staff }
    - port: { number: 443, name: https-foreign, protocol: HTTPS }
      hosts: [foreign.example.com]
      tls: { mode: SIMPLE, credentialName: foreign }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: secure }
spec:
  hosts: [shop.example.com, staff.example.com, foreign.example.com]
  gateways: [secure]
  http: [{ route: [{ destination: { host: details, port: { number: 9080 } } }] }]
`;

interface Got {
  readonly status: number;
  /** Serial number of the server's certificate. */
  readonly serial: string;
  readonly body: string;
}

describe("HTTPS at the ingress gateway, with certificates from Secrets", () => {
  let mesh: Mesh;
  let port = 0;
  const shop = ca.issue({ dns: ["shop.example.com"] });
  beforeAll(async () => {
    mesh = await startMesh({
      "secure.yaml": SECURE,
      "secrets.yaml": [
        secret("shop", shop),
        secret("staff", ca.issue({ dns: ["staff.example.com"] }), { roots: clients.rootPem }),
        // Not in the gateway's namespace: it must not be served.
        secret("foreign", ca.issue({ dns: ["foreign.example.com"] }), { namespace: "default" }),
      ].join("\n"),
    });
    port = await eventually("the gateway listens for HTTPS", async () => {
      const ports = (await mesh.status()).gateways.flatMap((gateway) => gateway.ports);
      return ports.find((one) => one.port === 443 || one.port === 8443)?.listen;
    });
  });
  afterAll(() => mesh?.down());

  const get = (host: string, client?: TestCertificate): Promise<Got> => {
    const { promise, resolve, reject } = Promise.withResolvers<Got>();
    const agent = new https.Agent({ keepAlive: false });
    const identity = client === undefined ? {} : { cert: client.certPem, key: client.keyPem };
    const request = https.get(
      {
        ...{ host: "127.0.0.1", port, path: "/details/0", servername: host, headers: { host } },
        ...{ ca: ca.rootPem, agent, timeout: 10_000, ...identity },
      },
      (response) => {
        const serial = (response.socket as TLSSocket).getPeerCertificate().serialNumber;
        let body = "";
        response.setEncoding("utf8").on("data", (part: string) => {
          body += part;
        });
        response.on("end", () => resolve({ status: response.statusCode ?? 0, serial, body }));
      },
    );
    request.on("timeout", () => request.destroy(new Error("no answer")));
    request.on("error", reject);
    return promise;
  };

  it("ends TLS with the Secret's certificate and goes on into the mesh", async () => {
    const got = await eventually("an answer over HTTPS", () => get("shop.example.com"));
    expect(got.status).toBe(200);
    expect(JSON.parse(got.body)).toMatchObject({ id: 0 });
  });

  it("is what curl takes for the real thing", async () => {
    const roots = join(mesh.folder, "shop-ca.pem");
    await writeFile(roots, ca.rootPem);
    const url = `https://shop.example.com:${port}/details/0`;
    const { code, stdout, stderr } = await runCommand([
      ...["curl", "-sS", "--cacert", roots, "--resolve", `shop.example.com:${port}:127.0.0.1`],
      ...["-o", "/dev/null", "-w", "%{http_code} %{ssl_verify_result}", "--noproxy", "*", url],
    ]);
    expect([code, stdout, stderr]).toEqual([0, "200 0", ""]);
  });

  it("sends plain HTTP to HTTPS with 301", async () => {
    const answer = await call(mesh.url("/details/0?x=1"), { headers: { host: "shop.example.com" } });
    expect([answer.status, answer.headers.location]).toEqual([301, "https://shop.example.com/details/0?x=1"]);
  });

  it("wants a client certificate of the Secret's roots for MUTUAL", async () => {
    expect((await get("staff.example.com", clients.issue({ uris: ["urn:someone"] }))).status).toBe(200);
    await expect(get("staff.example.com")).rejects.toThrow();
    await expect(get("staff.example.com", ca.issue({ uris: ["urn:someone"] }))).rejects.toThrow();
  });

  it("gives no certificate for names nobody declared, nor from another namespace", async () => {
    await expect(get("other.example.com")).rejects.toThrow();
    await expect(get("foreign.example.com")).rejects.toThrow();
  });

  it("takes a renewed Secret for the next handshake, without failing one", async () => {
    const before = (await get("shop.example.com")).serial;
    const staff = secret("staff", ca.issue({ dns: ["staff.example.com"] }), { roots: clients.rootPem });
    await mesh.write("secrets.yaml", secret("shop", ca.issue({ dns: ["shop.example.com"] })) + staff);
    await eventually("the new certificate", async () => {
      const { serial, status } = await get("shop.example.com");
      expect(status).toBe(200);
      return serial === before ? undefined : true;
    });
  });
});
