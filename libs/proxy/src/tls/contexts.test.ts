import { type AddressInfo, createServer as createTcpServer, type Server } from "node:net";
import { connect, createServer, type SecureContext, TLSSocket, type TlsOptions } from "node:tls";
import { createTestCa } from "@lateen/test-support";
import { afterEach, describe, expect, it } from "vitest";
import type { DownstreamTlsSpec, SecretSpec, UpstreamTlsSpec } from "../config/plan.ts";
import { TlsContexts } from "./contexts.ts";

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

const ca = createTestCa();
const pair = (name: string, { certPem, keyPem }: ReturnType<typeof ca.issue>): SecretSpec => ({
  kind: "certificate",
  name,
  certChainPem: certPem,
  privateKeyPem: keyPem,
});

/** Ends TLS as the data path does: without a TLS server of its own. */
async function accept(secureContext: SecureContext): Promise<number> {
  const server = createTcpServer((socket) => {
    socket.on("error", () => {});
    new TLSSocket(socket, { isServer: true, secureContext }).on("error", () => {});
  });
  return await started(server);
}

async function listen(options: TlsOptions): Promise<number> {
  const server = createServer(options, (socket) => {
    socket.on("error", () => {});
    socket.end();
  });
  server.on("tlsClientError", () => {});
  return await started(server);
}

async function started(server: Server): Promise<number> {
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port;
}

describe("a server with certificates of several key types", () => {
  const spec: DownstreamTlsSpec = {
    alpn: [],
    certificateSecret: "ec",
    otherCertificates: ["rsa"],
    requireClientCertificate: false,
    validation: undefined,
    minVersion: undefined,
    maxVersion: undefined,
    ciphers: [],
  };
  const [ec, rsa] = [ca.issue({ dns: ["shop"] }), ca.issue({ dns: ["shop"], rsa: true })];

  it.each([
    ["ECDHE-ECDSA-AES128-GCM-SHA256", "ec"],
    ["ECDHE-RSA-AES128-GCM-SHA256", "rsa"],
  ])("gives a client that speaks %s the one with an %s key", async (ciphers, type) => {
    const contexts = new TlsContexts();
    expect(contexts.update([pair("ec", ec), pair("rsa", rsa)])).toEqual([]);
    const made = contexts.server(spec);
    if (!made.ok) throw new Error(made.error);
    const { context } = made.value;
    const port = await accept(context);
    const client = connect({
      host: "127.0.0.1",
      port,
      servername: "shop",
      ca: ca.rootPem,
      ciphers,
      maxVersion: "TLSv1.2",
    });
    await new Promise((resolve, reject) => client.once("secureConnect", resolve).once("error", reject));
    expect(client.getPeerX509Certificate()?.publicKey.asymmetricKeyType).toBe(type);
    client.destroy();
  });

  it("waits for all of them", () => {
    const contexts = new TlsContexts();
    contexts.update([pair("ec", ec)]);
    expect(contexts.server(spec)).toMatchObject({ ok: false });
  });
});

describe("a revocation list", () => {
  const [good, bad] = [ca.issue({ dns: ["good"] }), ca.issue({ dns: ["bad"] })];
  const crlPem = ca.revoke(bad);
  const spec: UpstreamTlsSpec = {
    sni: undefined,
    alpn: [],
    certificateSecret: undefined,
    validation: { trust: { secret: "roots" }, sans: [] },
    minVersion: undefined,
    maxVersion: undefined,
    ciphers: [],
  };

  it.each([
    ["beside the trust bundle", { kind: "trust", name: "roots", bundlePem: ca.rootPem, crlPem } as const, spec],
    [
      "of the cluster",
      { kind: "trust", name: "roots", bundlePem: ca.rootPem } as const,
      { ...spec, validation: { ...spec.validation, crlPem } },
    ],
  ])("%s keeps out the certificates in it, and no others", async (_title, secret, settings) => {
    const contexts = new TlsContexts();
    expect(contexts.update([secret])).toEqual([]);
    const made = contexts.client(settings);
    if (!made.ok) throw new Error(made.error);
    const reach = async ({ certPem, keyPem }: typeof good) => {
      const port = await listen({ cert: certPem, key: keyPem });
      const client = connect({ ...made.value.options, host: "127.0.0.1", port });
      return await new Promise((resolve) => {
        client.once("secureConnect", () => resolve("connected"));
        client.once("error", (error: NodeJS.ErrnoException) => resolve(error.code));
      }).finally(() => client.destroy());
    };
    expect(await reach(good)).toBe("connected");
    expect(await reach(bad)).toBe("CERT_REVOKED");
  });
});
