import { Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData } from "@grpc/grpc-js";
import {
  type RateLimitRequest,
  RateLimitResponse,
  RateLimitServiceService,
} from "@lateen/proto/envoy/service/ratelimit/v3/rls";

export interface RateLimitServer {
  readonly port: number;
  close(): void;
}

const OK = 1;
const OVER_LIMIT = 2;
const HOUR = 3;

/**
 * A rate-limit service that has made up its mind: what is counted under the value `over` is over its limit, `fail` is an error, `slow`
 * gets no answer. What it was asked comes back in a header.
 */
export async function startRateLimits(): Promise<RateLimitServer> {
  const server = new Server();
  server.addService(RateLimitServiceService, { shouldRateLimit });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  return { port, close: () => server.forceShutdown() };
}

function shouldRateLimit(
  { request }: ServerUnaryCall<RateLimitRequest, RateLimitResponse>,
  reply: sendUnaryData<RateLimitResponse>,
): void {
  const entries = request.descriptors.map((descriptor) =>
    descriptor.entries.map(({ key, value }) => `${key}=${value}`).join("&"),
  );
  const has = (value: string) => entries.some((entry) => entry.includes(`=${value}`));
  if (has("slow")) return;
  if (has("fail")) {
    reply({ code: 13, details: "broken" });
    return;
  }
  const over = has("over");
  const asked = `${request.domain}: ${entries.join(" | ")}`;
  reply(
    null,
    RateLimitResponse.fromPartial({
      overallCode: over ? OVER_LIMIT : OK,
      statuses: [
        {
          code: over ? OVER_LIMIT : OK,
          currentLimit: { requestsPerUnit: 10, unit: HOUR, name: "by user" },
          limitRemaining: over ? 0 : 7,
          durationUntilReset: { seconds: 12n, nanos: 0 },
        },
        {
          code: OK,
          currentLimit: { requestsPerUnit: 5, unit: 2 },
          limitRemaining: 4,
          durationUntilReset: { seconds: 3n, nanos: 0 },
        },
        { code: OK },
      ],
      responseHeadersToAdd: [{ key: "x-asked", value: asked }],
      requestHeadersToAdd: over ? [] : [{ key: "x-asked", value: asked }],
      rawBody: over ? Buffer.from("too much") : Buffer.alloc(0),
    }),
  );
}
