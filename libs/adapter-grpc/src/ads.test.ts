import { createServer } from "node:net";
import { connect as tlsConnect } from "node:tls";
import { status } from "@grpc/grpc-js";
import { silentLogger } from "@lateen/kernel";
import type { AdsServer, Caller } from "@lateen/ports";
import { createTestCa } from "@lateen/test-support";
import { afterEach, describe, expect, it } from "vitest";
import { adsService, type GrpcServer, serveGrpc } from "./index.ts";
import {
  authenticator,
  ca,
  channelTo,
  closeAll,
  echoAds,
  newScope,
  response,
  SERVER_NAME,
  serve,
  serverTls,
  startAds,
} from "./testing/wire.ts";

afterEach(closeAll);

describe("ADS over TLS", () => {
  it("carries requests and responses for a caller with a token", async () => {
    const callers: (Caller | undefined)[] = [];
    const server = await serve([adsService(echoAds(callers), authenticator, silentLogger)]);
    const seen = startAds(channelTo(server));
    await seen.saw("received n1");
    expect(callers).toEqual([{ namespace: "shop", serviceAccount: "web", via: "token" }]);
    expect(seen.log[0]).toBe("opened");
  });

  it("takes the identity from a client certificate", async () => {
    const callers: (Caller | undefined)[] = [];
    const server = await serve([adsService(echoAds(callers), authenticator, silentLogger)]);
    const certificate = ca.issue({ uris: ["spiffe://cluster.local/ns/shop/sa/cart"] });
    const seen = startAds(channelTo(server, certificate));
    await seen.saw("received n1");
    expect(callers).toEqual([{ namespace: "shop", serviceAccount: "cart", via: "certificate" }]);
  });

  it.each([
    ["no credentials", () => ({}), "no credentials"],
    [
      "a certificate of another CA",
      () => createTestCa("other").issue({ uris: ["spiffe://cluster.local/ns/a/sa/b"] }),
      "",
    ],
  ])("refuses a caller with %s", async (_title, identity, text) => {
    const callers: (Caller | undefined)[] = [];
    const server = await serve([adsService(echoAds(callers), authenticator, silentLogger)]);
    const seen = startAds(channelTo(server, identity()));
    await seen.saw(`disconnected ${text}`);
    expect(callers).toEqual([]);
  });

  it.each([
    ["of another name", (server: GrpcServer) => ({ ...channelTo(server), serverName: "other.istio-system.svc" })],
    [
      "of another CA",
      (server: GrpcServer) => channelTo(server, { token: "a/b", rootPem: createTestCa("other").rootPem }),
    ],
  ])("does not speak to a server %s", async (_title, channel) => {
    const callers: (Caller | undefined)[] = [];
    const server = await serve([adsService(echoAds(callers), authenticator, silentLogger)]);
    const seen = startAds(channel(server));
    await seen.saw("disconnected");
    expect(seen.log).not.toContain("opened");
    expect(callers).toEqual([]);
  });

  it("ends a stream with the session's status", async () => {
    const ads: AdsServer = {
      ...echoAds(),
      openDelta: (_caller, transport) => ({
        receive: () => transport.close(status.PERMISSION_DENIED, "not your node"),
        drained() {},
        closed() {},
      }),
    };
    const seen = startAds(channelTo(await serve([adsService(ads, authenticator, silentLogger)])));
    await seen.saw("disconnected not your node");
  });

  it("tells a session that its transport is full, and when it is not any more", async () => {
    const answers: boolean[] = [];
    const drained = Promise.withResolvers<void>();
    const ads: AdsServer = {
      ...echoAds(),
      openDelta: (_caller, transport) => ({
        receive: () => {
          while (answers.at(-1) !== false) answers.push(transport.send(response(`n${answers.length}`, 3_000_000)));
        },
        drained: () => drained.resolve(),
        closed() {},
      }),
    };
    const seen = startAds(channelTo(await serve([adsService(ads, authenticator, silentLogger)])));
    await drained.promise;
    await seen.saw("received n1");
    expect(answers).toEqual([true, false]);
  });

  it("reconnects after the server came back, with a fresh identity", async () => {
    const callers: (Caller | undefined)[] = [];
    const first = await serve([adsService(echoAds(callers), authenticator, silentLogger)]);
    let token = "shop/web";
    const seen = startAds({ ...channelTo(first), identity: () => ({ rootPem: ca.rootPem, token }) });
    await seen.saw("received n1");
    token = "shop/rotated";
    await first.close(0);
    await seen.saw("disconnected");
    seen.log.length = 0;
    const services = [adsService(echoAds(callers), authenticator, silentLogger)];
    const options = { host: "127.0.0.1", port: first.port, tls: serverTls(), services, logger: silentLogger };
    const second = await serveGrpc(options);
    newScope().defer(() => second.close(0));
    await seen.saw("received n1");
    expect(callers.map((caller) => caller?.serviceAccount)).toEqual(["web", "rotated"]);
  });

  it("ends streams with UNAVAILABLE on close, within the grace", async () => {
    const server = await serve([adsService(echoAds(), authenticator, silentLogger)]);
    const seen = startAds(channelTo(server));
    await seen.saw("received");
    await server.close(5000);
    await seen.saw("disconnected the server is shutting down");
  });
});

describe("TLS", () => {
  const peerSerial = (port: number) =>
    new Promise<string>((resolve, reject) => {
      const socket = tlsConnect({
        host: "127.0.0.1",
        port,
        ca: ca.rootPem,
        servername: SERVER_NAME,
        ALPNProtocols: ["h2"],
      });
      socket.on("secureConnect", () => {
        resolve(socket.getPeerCertificate().serialNumber);
        socket.destroy();
      });
      socket.on("error", reject);
    });

  it("gives new connections the replaced certificate and keeps open streams", async () => {
    const server = await serve([adsService(echoAds(), authenticator, silentLogger)]);
    const seen = startAds(channelTo(server));
    await seen.saw("received");
    const before = await peerSerial(server.port);
    server.updateTls(serverTls());
    expect(await peerSerial(server.port)).not.toBe(before);
    expect(seen.log.filter((line) => line.startsWith("disconnected"))).toEqual([]);
  });

  it("keeps the former certificate when the new one is unusable", async () => {
    const server = await serve([]);
    const before = await peerSerial(server.port);
    expect(() => server.updateTls({ ...serverTls(), keyPem: "nonsense" })).toThrow(/TLS material/);
    expect(await peerSerial(server.port)).toBe(before);
  });

  it("names the busy port", async () => {
    const holder = createServer();
    await new Promise<void>((resolve) => holder.listen(0, "127.0.0.1", resolve));
    newScope().defer(() => void holder.close());
    const address = holder.address();
    const port = typeof address === "object" && address ? address.port : 0;
    const attempt = serveGrpc({ host: "127.0.0.1", port, tls: serverTls(), services: [], logger: silentLogger });
    await expect(attempt).rejects.toMatchObject({ code: "LTN6401", detail: { code: "EADDRINUSE", port } });
  });

  it("bounds the number of connections", async () => {
    const server = await serve([], { connections: 1 });
    const first = tlsConnect({
      host: "127.0.0.1",
      port: server.port,
      ca: ca.rootPem,
      servername: SERVER_NAME,
      ALPNProtocols: ["h2"],
    });
    await new Promise((resolve) => first.once("secureConnect", resolve));
    await expect(peerSerial(server.port)).rejects.toThrow();
    first.destroy();
  });
});
