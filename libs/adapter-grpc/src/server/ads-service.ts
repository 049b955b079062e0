import type { ServerDuplexStream } from "@grpc/grpc-js";
import { type Logger, systemClock } from "@lateen/kernel";
import type { AdsServer, AdsSession, AdsTransport, Caller } from "@lateen/ports";
import type {
  DeltaDiscoveryRequest,
  DeltaDiscoveryResponse,
  DiscoveryRequest,
  DiscoveryResponse,
} from "@lateen/proto/envoy/service/discovery/v3/discovery";
import { adsDefinition, DeltaEncoder } from "./delta-encoding.ts";
import { identify, statusError, UNAUTHENTICATED } from "./peer.ts";
import { type BudgetedStream, SendBudget } from "./send-budget.ts";
import type { Authenticator, GrpcService } from "./service.ts";

/** Messages of one stream that may wait for the network before `send` answers false. */
const MAX_UNWRITTEN = 2;
const UNAVAILABLE = 14;

/**
 * Serves both ADS variants from an {@link AdsServer}. Callers that cannot be identified are refused.
 * @param budget bounds what is on its way to all clients together.
 */
export function adsService(
  ads: AdsServer,
  authenticator: Authenticator,
  logger: Logger,
  budget: SendBudget = new SendBudget(systemClock()),
): GrpcService {
  const open = new Set<(code: number, message: string) => void>();
  const handler =
    <Request extends AnyRequest, Response extends AnyResponse>(
      openSession: (caller: Caller, transport: AdsTransport<Response>) => AdsSession<Request>,
    ) =>
    (call: ServerDuplexStream<Request, Response>): void => {
      void runStream(call, openSession, { authenticator, logger, open, budget });
    };
  return {
    name: "envoy.service.discovery.v3.AggregatedDiscoveryService",
    definition: adsDefinition(new DeltaEncoder()),
    implementation: {
      streamAggregatedResources: handler((caller, transport: AdsTransport<never>) => ads.openSotw(caller, transport)),
      deltaAggregatedResources: handler((caller, transport: AdsTransport<never>) => ads.openDelta(caller, transport)),
    },
    drain: () => {
      for (const end of [...open]) end(UNAVAILABLE, "the server is shutting down");
    },
  };
}

type AnyRequest = DiscoveryRequest | DeltaDiscoveryRequest;
type AnyResponse = DiscoveryResponse | DeltaDiscoveryResponse;

/** What all streams of a service share. */
export interface StreamContext {
  readonly budget: SendBudget;
  readonly authenticator: Authenticator;
  readonly logger: Logger;
  readonly open: Set<(code: number, message: string) => void>;
}

/** Serves one stream from its first message to its end. */
export async function runStream<Request extends AnyRequest, Response extends AnyResponse>(
  call: ServerDuplexStream<Request, Response>,
  openSession: (caller: Caller, transport: AdsTransport<Response>) => AdsSession<Request>,
  context: StreamContext,
): Promise<void> {
  let ended = false;
  let session: AdsSession<Request> | undefined;
  const share = context.budget.open(() => session?.drained());
  const finish = () => {
    if (ended) return;
    ended = true;
    share.close();
    context.open.delete(end);
    session?.closed();
  };
  const end = (code: number, message: string) => {
    if (ended) return;
    call.emit("error", statusError(code, message));
    finish();
  };
  context.open.add(end);
  call.on("cancelled", finish);
  call.on("close", finish);
  // Without a listener an 'error' event of the stream would end the process; grpc-js's own listener sends the status.
  call.on("error", finish);
  const caller = await identify(context.authenticator, call);
  if (ended) return;
  if (!caller.ok) {
    context.logger.warn({ event: "ads.refused", peer: call.getPeer(), reason: caller.error });
    return end(UNAUTHENTICATED, caller.error);
  }
  session = openSession(
    caller.value,
    createTransport(call, end, share, () => session?.drained()),
  );
  call.on("data", (request: Request) => {
    if (ended) return;
    session?.receive(request);
    share.answered(request.responseNonce);
  });
  call.on("end", () => {
    if (!ended) call.end();
    finish();
  });
}

function createTransport<Request, Response extends AnyResponse>(
  call: ServerDuplexStream<Request, Response>,
  end: (code: number, message: string) => void,
  share: BudgetedStream,
  drained: () => void,
): AdsTransport<Response> {
  let unwritten = 0;
  let full = false;
  return {
    ready: share.ready,
    send(response) {
      unwritten++;
      full ||= unwritten >= MAX_UNWRITTEN;
      share.sent(response.nonce, sizeOf(response));
      call.write(response, () => {
        unwritten--;
        if (!full || unwritten > 0) return;
        full = false;
        drained();
      });
      return !full;
    },
    close: end,
  };
}

/** About as many bytes as the response has on the wire. */
function sizeOf(response: AnyResponse): number {
  let bytes = 64;
  for (const resource of response.resources) {
    bytes += ("value" in resource ? resource.value : resource.resource?.value)?.length ?? 0;
  }
  return bytes;
}
