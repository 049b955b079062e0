import { credentials, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { err, LateenError, ok, silentLogger, systemClock } from "@lateen/kernel";
import {
  RateLimitRequest,
  RateLimitResponse,
  RateLimitServiceClient,
} from "@lateen/proto/envoy/service/ratelimit/v3/rls";
import { createTestCa } from "@lateen/test-support";
import { afterAll, beforeAll, expect, it } from "vitest";
import { rateLimitService } from "./rate-limit-service.ts";
import { type GrpcServer, serveGrpc } from "./serve.ts";
import type { Authenticator } from "./service.ts";

const SERVER_NAME = "istio-mixer.istio-system.svc";
const ca = createTestCa();
const authenticator: Authenticator = {
  authenticate: async (_, bearer) =>
    bearer === "gateway" ? ok({ namespace: "shop", serviceAccount: "gateway", via: "token" }) : err("no credentials"),
};

let server: GrpcServer;
let client: RateLimitServiceClient;
beforeAll(async () => {
  const decide = async ({ domain }: RateLimitRequest) => {
    if (domain === "") throw new LateenError({ code: "LTN8101", fault: "peer", message: "no domain" });
    if (domain === "away") throw new LateenError({ code: "LTN6501", fault: "system", message: "away" });
    return RateLimitResponse.fromPartial({ overallCode: 2, statuses: [{ code: 2, limitRemaining: 7 }] });
  };
  server = await serveGrpc({
    host: "127.0.0.1",
    port: 0,
    tls: { ...ca.issue({ dns: [SERVER_NAME] }), rootPem: ca.rootPem },
    services: [rateLimitService(decide, authenticator, { clock: systemClock(), logger: silentLogger })],
    logger: silentLogger,
  });
  client = new RateLimitServiceClient(`127.0.0.1:${server.port}`, credentials.createSsl(Buffer.from(ca.rootPem)), {
    "grpc.ssl_target_name_override": SERVER_NAME,
  });
});
afterAll(async () => {
  client.close();
  await server.close(0);
});

function ask(domain: string, token: string): Promise<RateLimitResponse | ServiceError> {
  const metadata = new Metadata();
  metadata.set("authorization", `Bearer ${token}`);
  const { promise, resolve } = Promise.withResolvers<RateLimitResponse | ServiceError>();
  const request = RateLimitRequest.fromPartial({ domain });
  client.shouldRateLimit(request, metadata, (error, response) => resolve(error ?? response));
  return promise;
}

it("answers who has an identity", async () => {
  expect(await ask("shop", "gateway")).toMatchObject({ overallCode: 2, statuses: [{ code: 2, limitRemaining: 7 }] });
});

it.each([
  ["nobody", "shop", "stranger", status.UNAUTHENTICATED, "no credentials"],
  ["a request that says too little", "", "gateway", status.INVALID_ARGUMENT, "no domain (LTN8101)"],
  ["while there is no decision", "away", "gateway", status.UNAVAILABLE, "away (LTN6501)"],
])("refuses %s", async (_title, domain, token, code, details) => {
  expect(await ask(domain, token)).toMatchObject({ code, details });
});
