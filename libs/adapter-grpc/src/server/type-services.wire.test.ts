import { connect } from "node:http2";
import { Client, credentials, Metadata } from "@grpc/grpc-js";
import { err, ok, silentLogger } from "@lateen/kernel";
import type { AdsServer } from "@lateen/ports";
import { DeltaDiscoveryRequest, DeltaDiscoveryResponse } from "@lateen/proto/envoy/service/discovery/v3/discovery";
import { createTestCa } from "@lateen/test-support";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type GrpcServer, serveGrpc } from "./serve.ts";
import type { Authenticator } from "./service.ts";
import { typeServices } from "./type-services.ts";

const SERVER_NAME = "istiod.istio-system.svc";
const ca = createTestCa();
const authenticator: Authenticator = {
  authenticate: async (_, bearer) =>
    bearer === "web" ? ok({ namespace: "shop", serviceAccount: "web", via: "token" }) : err("no credentials"),
};

/** More than is worth compressing, and the same for all who ask. */
const resources = [
  { name: "many", version: "1", aliases: [], resource: { typeUrl: "t", value: Buffer.alloc(50_000, "again") } },
];

/** Answers every request with the type that its stream is of. */
const ads: AdsServer = {
  openSotw: (_, transport, only = "") => ({
    receive: () =>
      void transport.send({ versionInfo: "1", typeUrl: only, nonce: "n", resources: [], canary: false } as never),
    drained() {},
    closed() {},
  }),
  openDelta: (_, transport, only = "") => ({
    receive: () =>
      void transport.send({
        ...DeltaDiscoveryResponse.fromPartial({ typeUrl: only, nonce: "n" }),
        resources,
      }),
    drained() {},
    closed() {},
  }),
};

let server: GrpcServer;
let client: Client;
beforeAll(async () => {
  server = await serveGrpc({
    host: "127.0.0.1",
    port: 0,
    tls: { ...ca.issue({ dns: [SERVER_NAME] }), rootPem: ca.rootPem },
    services: typeServices(ads, authenticator, silentLogger),
    logger: silentLogger,
  });
  client = new Client(`127.0.0.1:${server.port}`, credentials.createSsl(Buffer.from(ca.rootPem)), {
    "grpc.ssl_target_name_override": SERVER_NAME,
  });
});
afterAll(async () => {
  client.close();
  await server.close(0);
});

/** Bytes of the first three answers to one client after another, as they travel. */
async function sizes(path: string, headers: Readonly<Record<string, string>>): Promise<readonly number[]> {
  const session = connect(`https://127.0.0.1:${server.port}`, { ca: ca.rootPem, servername: SERVER_NAME });
  const found: number[] = [];
  for (let count = 0; count < 3; count++) {
    const stream = session.request({
      ":method": "POST",
      ":path": path,
      "content-type": "application/grpc",
      authorization: "Bearer web",
      ...headers,
    });
    stream.write(Buffer.alloc(5));
    let size = 0;
    let length = Number.POSITIVE_INFINITY;
    for await (const chunk of stream) {
      if (size === 0) length = (chunk as Buffer).readUInt32BE(1) + 5;
      size += (chunk as Buffer).length;
      if (size >= length) break;
    }
    found.push(size);
  }
  session.destroy();
  return found;
}

it("sends compressed what it sends again, to clients that take that", async () => {
  const path = "/envoy.service.cluster.v3.ClusterDiscoveryService/DeltaClusters";
  const [, plain = 0] = await sizes(path, {});
  expect(plain).toBeGreaterThan(50_000);
  const [, second, third] = await sizes(path, { "grpc-accept-encoding": "identity,gzip" });
  expect(second).toBeLessThan(1000);
  expect(third).toBe(second);
  // Clients of grpc-js take it and say so.
  expect(await ask(path)).toBe("type.googleapis.com/envoy.config.cluster.v3.Cluster");
});

/** The type of the first answer, or the status of a stream that ended without one. */
function ask(path: string, token = "web"): Promise<string | number> {
  const metadata = new Metadata();
  metadata.set("authorization", `Bearer ${token}`);
  const { promise, resolve } = Promise.withResolvers<string | number>();
  const call = client.makeBidiStreamRequest(
    path,
    (request: DeltaDiscoveryRequest) => Buffer.from(DeltaDiscoveryRequest.encode(request).finish()),
    (bytes) => DeltaDiscoveryResponse.decode(bytes),
    metadata,
  );
  call.on("data", (response: DeltaDiscoveryResponse) => {
    resolve(response.typeUrl);
    call.cancel();
  });
  call.on("error", (error: Error & { readonly code?: number }) => resolve(error.code ?? -1));
  call.write(DeltaDiscoveryRequest.fromPartial({}));
  return promise;
}

it.each([
  ["cluster", "Cluster", "Clusters", "envoy.config.cluster.v3.Cluster"],
  ["endpoint", "Endpoint", "Endpoints", "envoy.config.endpoint.v3.ClusterLoadAssignment"],
  ["listener", "Listener", "Listeners", "envoy.config.listener.v3.Listener"],
  ["route", "Route", "Routes", "envoy.config.route.v3.RouteConfiguration"],
  ["secret", "Secret", "Secrets", "envoy.extensions.transport_sockets.tls.v3.Secret"],
])("serves envoy.service.%s.v3 in both variants", async (folder, kind, what, type) => {
  const service = `/envoy.service.${folder}.v3.${kind}DiscoveryService`;
  // Field 4 is the type in both variants' responses.
  expect(await ask(`${service}/Delta${what}`)).toBe(`type.googleapis.com/${type}`);
  expect(await ask(`${service}/Stream${what}`)).toBe(`type.googleapis.com/${type}`);
});

it("serves nobody that cannot be identified", async () => {
  expect(await ask("/envoy.service.secret.v3.SecretDiscoveryService/DeltaSecrets", "nobody")).toBe(16);
});
