import { connect, createServer, type TLSSocket } from "node:tls";
import { systemClock } from "@lateen/kernel";
import { expect, it } from "vitest";
import { createRootCa, issueCertificate } from "./certificate.ts";
import { createCsr } from "./csr.ts";

it("makes certificates that both ends of a TLS connection accept", async () => {
  const clock = systemClock();
  const ca = createRootCa({ trustDomain: "cluster.local" }, clock);
  const spiffeId = "spiffe://cluster.local/ns/default/sa/web";
  const client = createCsr({ spiffeId });
  const server = createCsr({ spiffeId });
  const clientCert = issueCertificate(ca, { csrPem: client.csrPem, spiffeId, ttlSeconds: 60 }, clock).certPem;
  const serverCert = issueCertificate(ca, { csrPem: server.csrPem, dnsNames: ["istiod.svc"], ttlSeconds: 60 }, clock);
  const seen = Promise.withResolvers<string | undefined>();
  const listener = createServer(
    {
      key: server.privateKeyPem,
      cert: serverCert.certPem,
      ca: ca.rootPem,
      requestCert: true,
      rejectUnauthorized: true,
    },
    (socket: TLSSocket) => {
      seen.resolve(socket.getPeerX509Certificate()?.subjectAltName);
      socket.end();
    },
  );
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  const { port } = listener.address() as { port: number };
  const socket = connect({
    port,
    host: "127.0.0.1",
    servername: "istiod.svc",
    ca: ca.rootPem,
    key: client.privateKeyPem,
    cert: clientCert,
  });
  await new Promise((resolve, reject) => socket.once("secureConnect", resolve).once("error", reject));
  expect(await seen.promise).toBe(`URI:${spiffeId}`);
  socket.destroy();
  listener.close();
});
