import { type ServerUnaryCall, type sendUnaryData, status } from "@grpc/grpc-js";
import { type Clock, LateenError, type Logger, messageOf } from "@lateen/kernel";
import {
  type RateLimitRequest,
  type RateLimitResponse,
  RateLimitServiceService,
} from "@lateen/proto/envoy/service/ratelimit/v3/rls";
import { identify, statusError, UNAUTHENTICATED } from "./peer.ts";
import type { Authenticator, GrpcService } from "./service.ts";

/**
 * Decides on a request that came in at `sinceMs` of the monotonic clock. A LateenError whose fault is the user's or the peer's is
 * INVALID_ARGUMENT, any other UNAVAILABLE.
 */
export type DecideRateLimit = (request: RateLimitRequest, sinceMs: number) => Promise<RateLimitResponse>;

type Call = ServerUnaryCall<RateLimitRequest, RateLimitResponse>;

/** Envoy's rate-limit service, for whoever has an identity of the mesh. */
export function rateLimitService(
  decide: DecideRateLimit,
  authenticator: Authenticator,
  { clock, logger }: { readonly clock: Clock; readonly logger: Logger },
): GrpcService {
  const answer = async (call: Call, reply: sendUnaryData<RateLimitResponse>) => {
    // Before anything that may take its time, such as looking at a token.
    const sinceMs = clock.monotonic();
    const caller = await identify(authenticator, call);
    if (!caller.ok) {
      logger.warn({ event: "rls.refused", peer: call.getPeer(), reason: caller.error });
      return reply(statusError(UNAUTHENTICATED, caller.error));
    }
    try {
      reply(null, await decide(call.request, sinceMs));
    } catch (error) {
      const asked = error instanceof LateenError && error.fault !== "system";
      logger.debug({ event: "rls.not_decided", error: messageOf(error) });
      reply(statusError(asked ? status.INVALID_ARGUMENT : status.UNAVAILABLE, messageOf(error)));
    }
  };
  return {
    name: "envoy.service.ratelimit.v3.RateLimitService",
    definition: RateLimitServiceService,
    implementation: {
      shouldRateLimit: (call: Call, reply: sendUnaryData<RateLimitResponse>) => void answer(call, reply),
    },
  };
}
