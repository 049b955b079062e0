import { redirectLocation } from "@lateen/traffic";
import { grpcStatusOf, replies } from "../chain/replies.ts";
import type { LocalReply } from "../chain/spi.ts";
import type { Http1Head } from "../http1/head.ts";
import { K } from "../http1/known-headers.ts";
import type { ExchangeHost } from "./exchange-host.ts";
import type { ExchangeState } from "./exchange-state.ts";

const NO_BODY = Buffer.alloc(0);

/** The `date`, `server` and service-time lines of an upstream's response; what they replace is dropped from its head. */
export function upstreamLines(head: Http1Head, host: ExchangeHost, serviceMs: number): string {
  let withServer = false;
  switch (host.spec.serverHeader) {
    case "overwrite":
      head.dropKnown(K.server);
      withServer = true;
      break;
    case "appendIfAbsent":
      withServer = !head.has(K.server);
      break;
    case "passThrough":
      break;
  }
  if (!host.spec.suppressEnvoyHeaders) head.dropKnown(K["x-envoy-upstream-service-time"]);
  const lines = host.serviceLines(withServer, Math.floor(serviceMs));
  return head.has(K.date) ? lines : host.dateLine() + lines;
}

/** What the proxy says itself where the route does not forward; undefined: its action is to forward, or has nothing to say. */
export function ownAnswer(exchange: ExchangeState): LocalReply | undefined {
  const { match, head, info } = exchange;
  if (match === undefined) return replies.routeNotFound;
  const { action } = match.route;
  switch (action.kind) {
    case "forward":
      return undefined;
    case "redirect": {
      const redirect = redirectLocation(match.route, head, info.secure ? "https" : "http");
      if (redirect === undefined) return undefined;
      match.route.responseEdits.apply(exchange.responseEdits, exchange.resolve);
      return replies.redirect(redirect.status, redirect.location);
    }
    case "direct":
      match.route.responseEdits.apply(exchange.responseEdits, exchange.resolve);
      return replies.direct(action.status, action.body);
  }
}

/** A response of the proxy's own: its headers go into the exchange's edits, body and status are answered. */
export function localResponse(exchange: ExchangeState, reply: LocalReply): { status: number; body: Buffer } {
  const { responseEdits } = exchange;
  const quiet = exchange.host.spec.suppressEnvoyHeaders;
  for (const [name, value] of reply.headers ?? []) {
    if (!quiet || !name.startsWith("x-envoy-")) responseEdits.set(name, value);
  }
  if (!exchange.isGrpc) {
    return { status: reply.status, body: reply.body === "" ? NO_BODY : Buffer.from(reply.body, "utf8") };
  }
  // A gRPC client reads the outcome from headers only (a "trailers-only" response).
  responseEdits.set("content-type", "application/grpc");
  responseEdits.set("grpc-status", String(reply.grpcStatus ?? grpcStatusOf(reply.status)));
  if (reply.body !== "") responseEdits.set("grpc-message", percentEncoded(reply.body));
  return { status: 200, body: NO_BODY };
}

/** Everything but printable ASCII is encoded, and `%` itself. @see gRPC over HTTP/2, Responses: Status-Message */
function percentEncoded(text: string): string {
  return text.replace(/[^ -$&-~]+/g, encodeURIComponent);
}
