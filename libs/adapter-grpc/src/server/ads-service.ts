import { type Logger, systemClock } from "@lateen/kernel";
import type { AdsServer, AdsSession, AdsTransport, Caller } from "@lateen/ports";
import { AggregatedDiscoveryServiceService } from "@lateen/proto/envoy/service/discovery/v3/ads";
import {
  type DeltaDiscoveryRequest,
  type DeltaDiscoveryResponse,
  type DiscoveryRequest,
  DiscoveryResponse,
} from "@lateen/proto/envoy/service/discovery/v3/discovery";
import { DeltaEncoder, type EncodedResponse } from "./delta-encoding.ts";
import { identify, statusError, UNAUTHENTICATED } from "./peer.ts";
import { type BudgetedStream, SendBudget } from "./send-budget.ts";
import type { Authenticator, DuplexCall, GrpcService } from "./service.ts";

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
  const context = { authenticator, logger, open, budget, encoder: new DeltaEncoder(systemClock()) };
  return {
    name: "envoy.service.discovery.v3.AggregatedDiscoveryService",
    definition: AggregatedDiscoveryServiceService,
    implementation: {
      streamAggregatedResources: (call: DuplexCall<DiscoveryRequest>) =>
        void runSotwStream(call, (caller, transport) => ads.openSotw(caller, transport), context),
      deltaAggregatedResources: (call: DuplexCall<DeltaDiscoveryRequest>) =>
        void runDeltaStream(call, (caller, transport) => ads.openDelta(caller, transport), context),
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
  readonly encoder: DeltaEncoder;
}

type Open<Request, Response> = (caller: Caller, transport: AdsTransport<Response>) => AdsSession<Request>;
/** @param gzip the client takes compressed messages. */
type Encode<Response> = (response: Response, gzip: boolean) => EncodedResponse;

/** Serves one state-of-the-world stream from its first message to its end. */
export function runSotwStream(
  call: DuplexCall<DiscoveryRequest>,
  openSession: Open<DiscoveryRequest, DiscoveryResponse>,
  context: StreamContext,
): Promise<void> {
  const encode = (response: DiscoveryResponse) => ({
    pieces: [DiscoveryResponse.encode(response).finish()],
    compressed: false,
  });
  return runStream(call, { openSession, encode }, context);
}

/** The same for a delta stream. */
export function runDeltaStream(
  call: DuplexCall<DeltaDiscoveryRequest>,
  openSession: Open<DeltaDiscoveryRequest, DeltaDiscoveryResponse>,
  context: StreamContext,
): Promise<void> {
  return runStream(call, { openSession, encode: (response, gzip) => context.encoder.encode(response, gzip) }, context);
}

async function runStream<Request extends AnyRequest, Response extends AnyResponse>(
  call: DuplexCall<Request>,
  { openSession, encode }: { readonly openSession: Open<Request, Response>; readonly encode: Encode<Response> },
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
  call.on("error", finish);
  const caller = await identify(context.authenticator, call);
  if (ended) return;
  if (!caller.ok) {
    context.logger.warn({ event: "ads.refused", peer: call.getPeer(), reason: caller.error });
    return end(UNAUTHENTICATED, caller.error);
  }
  session = openSession(caller.value, createTransport(call, encode, share, { end, drained: () => session?.drained() }));
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
  call: DuplexCall<Request>,
  encode: Encode<Response>,
  share: BudgetedStream,
  events: { readonly end: AdsTransport<Response>["close"]; readonly drained: () => void },
): AdsTransport<Response> {
  let unwritten = 0;
  let full = false;
  const gzip = call.useGzip();
  return {
    ready: share.ready,
    send(response) {
      unwritten++;
      full ||= unwritten >= MAX_UNWRITTEN;
      const { pieces, compressed } = encode(response, gzip);
      share.sent(
        response.nonce,
        pieces.reduce((sum, piece) => sum + piece.length, 0),
      );
      const done = () => {
        unwritten--;
        if (!full || unwritten > 0) return;
        full = false;
        events.drained();
      };
      call.writePieces(pieces, done, compressed);
      return !full;
    },
    close: events.end,
  };
}
