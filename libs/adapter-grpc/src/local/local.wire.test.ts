import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { credentials, Metadata, type ServiceError } from "@grpc/grpc-js";
import { ok, silentLogger } from "@lateen/kernel";
import type { AdsServer, AdsTransport, Caller } from "@lateen/ports";
import { Secret } from "@lateen/proto/envoy/extensions/transport_sockets/tls/v3/secret";
import { AggregatedDiscoveryServiceClient } from "@lateen/proto/envoy/service/discovery/v3/ads";
import { DiscoveryRequest, DiscoveryResponse } from "@lateen/proto/envoy/service/discovery/v3/discovery";
import { SecretDiscoveryServiceClient } from "@lateen/proto/envoy/service/secret/v3/sds";
import { createTestCa } from "@lateen/test-support";
import { afterEach, describe, expect, it } from "vitest";
import { adsRelay, adsService, type GrpcService, secretService, serveGrpc, serveLocal } from "../index.ts";

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function socketWith(...services: readonly GrpcService[]): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "lateen-local-"));
  const path = join(folder, "socket");
  const server = await serveLocal({ path, services, logger: silentLogger });
  cleanups.push(
    () => rm(folder, { recursive: true }),
    () => server.close(),
  );
  return path;
}

function askSecrets(path: string, ...resourceNames: string[]) {
  const client = new SecretDiscoveryServiceClient(`unix:${path}`, credentials.createInsecure());
  const stream = client.streamSecrets();
  cleanups.push(
    () => client.close(),
    () => stream.cancel(),
  );
  stream.on("error", () => {});
  stream.write(DiscoveryRequest.fromPartial({ resourceNames }));
  const next = () => new Promise<DiscoveryResponse>((resolve) => stream.once("data", resolve));
  return { stream, next };
}

const secretIn = (response: DiscoveryResponse) => response.resources.map(({ value }) => Secret.decode(value));
const pem = (name: string) => ({ certChainPem: `chain ${name}`, privateKeyPem: `key ${name}`, rootsPem: "roots" });

describe("secretService", () => {
  it("answers when there is a certificate, and again when there is another", async () => {
    const service = secretService(silentLogger);
    const path = await socketWith(service);
    const { stream, next } = askSecrets(path, "default");
    const first = next();
    service.update(pem("a"));
    const [secret] = secretIn(await first);
    expect(secret?.name).toBe("default");
    const second = next();
    stream.write(DiscoveryRequest.fromPartial({ resourceNames: ["default"], responseNonce: "1", versionInfo: "1" }));
    service.update(pem("b"));
    const answer = await second;
    expect(answer.nonce).toBe("2");
    expect(secretIn(answer)[0]?.type?.$case).toBe("tlsCertificate");
  });

  it("sends nothing for what did not change", async () => {
    const service = secretService(silentLogger);
    service.update(pem("a"));
    const { next } = askSecrets(await socketWith(service), "ROOTCA");
    await next();
    const following = next();
    service.update(pem("b"));
    service.update({ ...pem("c"), rootsPem: "new roots" });
    expect((await following).nonce).toBe("2");
  });

  it("answers for a source beside the workload's own, with nothing where it has nothing, and again when that changed", async () => {
    const files = new Map([["file-root:a", "roots a"]]);
    const service = secretService(silentLogger, async (name) => {
      const rootsPem = files.get(name);
      return rootsPem === undefined ? undefined : { kind: "trust", rootsPem };
    });
    const path = await socketWith(service);
    const there = await askSecrets(path, "file-root:a").next();
    expect(secretIn(there)[0]?.type?.$case).toBe("validationContext");
    const { next } = askSecrets(path, "file-root:b");
    expect((await next()).resources).toEqual([]);
    files.set("file-root:b", "roots b");
    const later = next();
    await service.refresh();
    expect(secretIn(await later)[0]?.name).toBe("file-root:b");
  });

  it("is for the owner of the socket only", async () => {
    const path = await socketWith(secretService(silentLogger));
    expect((await stat(path)).mode & 0o777).toBe(0o600);
  });
});

describe("adsRelay", () => {
  const serverName = "istiod.istio-system.svc";
  const ca = createTestCa();

  /** A control plane that answers every request with its type URL and who asks. */
  async function controlPlane() {
    const closers: AdsTransport<DiscoveryResponse>[] = [];
    const ads = {
      openSotw: (caller: Caller, transport: AdsTransport<DiscoveryResponse>) => {
        closers.push(transport);
        return {
          receive: (request: DiscoveryRequest) =>
            transport.send(DiscoveryResponse.fromPartial({ typeUrl: request.typeUrl, nonce: caller.serviceAccount })),
          drained() {},
          closed() {},
        };
      },
    } as unknown as AdsServer;
    const authenticator = {
      authenticate: async (_uris: readonly string[], bearer = "") =>
        ok({ namespace: "shop", serviceAccount: bearer, via: "token" } as const),
    };
    const server = await serveGrpc({
      host: "127.0.0.1",
      port: 0,
      tls: { ...ca.issue({ dns: [serverName] }), rootPem: ca.rootPem },
      services: [adsService(ads, authenticator, silentLogger)],
      logger: silentLogger,
    });
    cleanups.push(() => server.close(0));
    return { port: server.port, closers };
  }

  it("carries both directions under the identity of the moment, and ends with the control plane's status", async () => {
    const { port, closers } = await controlPlane();
    const identity = () => ({ rootPem: ca.rootPem, token: "web" });
    const path = await socketWith(adsRelay({ address: `127.0.0.1:${port}`, serverName, identity }, silentLogger));
    const client = new AggregatedDiscoveryServiceClient(`unix:${path}`, credentials.createInsecure());
    const stream = client.streamAggregatedResources(new Metadata());
    cleanups.push(() => client.close());
    const answer = new Promise<DiscoveryResponse>((resolve) => stream.once("data", resolve));
    stream.write(DiscoveryRequest.fromPartial({ typeUrl: "x" }));
    expect(await answer).toMatchObject({ typeUrl: "x", nonce: "web" });
    const failure = new Promise<ServiceError>((resolve) => stream.once("error", resolve));
    closers[0]?.close(7, "not for you");
    expect(await failure).toMatchObject({ code: 7, details: "not for you" });
  });

  it("tells the client when there is no control plane", async () => {
    const identity = () => ({ rootPem: ca.rootPem, token: "web" });
    const path = await socketWith(adsRelay({ address: "127.0.0.1:1", serverName, identity }, silentLogger));
    const client = new AggregatedDiscoveryServiceClient(`unix:${path}`, credentials.createInsecure());
    cleanups.push(() => client.close());
    const stream = client.deltaAggregatedResources(new Metadata());
    const failure = new Promise<ServiceError>((resolve) => stream.once("error", resolve));
    expect((await failure).code).toBe(14);
  });
});
