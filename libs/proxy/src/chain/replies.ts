import type { ResetReason } from "../http/streams.ts";
import type { LocalReply } from "./spi.ts";

/**
 * Every response the proxy makes itself: Envoy's statuses, bodies, flags and details, in one table. Nothing else writes a status
 * line, except the codec for requests that could not be parsed.
 */
export const replies = {
  routeNotFound: reply(404, "", "NR", "route_not_found"),
  noHealthyUpstream: reply(503, "no healthy upstream", "UH", "no_healthy_upstream"),
  /** Overall timeout of the route. */
  responseTimeout: reply(504, "upstream request timeout", "UT", "response_timeout"),
  perTryTimeout: reply(504, "upstream request timeout", "UT", "upstream_per_try_timeout"),
  /** All the time that a gRPC client gave the exchange is over. */
  streamDuration: { ...reply(408, "downstream duration timeout", "", "max_duration_timeout"), grpcStatus: 4 },
  requestTimeout: reply(408, "request timeout", "", "request_overall_timeout"),
  /** A defect of ours while the request was judged. */
  internalError: reply(500, "", "", "internal_error"),
  unknownMethod: reply(400, "Bad Request", "DPE", "http1.codec_error"),
  /** A query says in its body what is asked for. */
  queryWithoutType: reply(400, "", "", "query_missing_content_type"),
  missingHost: reply(400, "", "", "missing_host_header"),
  upgradeFailed: reply(403, "", "", "upgrade_failed"),
  pathNormalisationFailed: reply(400, "", "", "path_normalization_failed"),
  /** The proxy has no way to reach the authority of an explicit-proxy request. */
  noListener: reply(502, "", "NR", "no_listener_for_destination"),

  streamIdle: (requestDone: boolean): LocalReply =>
    reply(requestDone ? 504 : 408, "stream timeout", "SI", "stream_idle_timeout"),
  clusterNotFound: (status: number): LocalReply => reply(status, "", "NC", "cluster_not_found"),
  redirect: (status: number, location: string): LocalReply => ({
    ...reply(status, "", "", "direct_response"),
    headers: [["location", location]],
  }),
  direct: (status: number, body: string): LocalReply => reply(status, body, "", "direct_response"),
  escapedSlashRedirect: (path: string): LocalReply => ({
    // Envoy calls it so, though nothing failed.
    ...reply(307, "", "", "path_normalization_failed"),
    headers: [["location", path]],
  }),
  /** The upstream could not be reached, or went away before its response. */
  upstreamReset: (reason: ResetReason, detail: string, retried: boolean): LocalReply => {
    const { text, flag, name, status } = RESETS[reason];
    const prefix = "upstream connect error or disconnect/reset before headers. ";
    const again = retried ? "retried and the latest reset reason: " : "reset reason: ";
    // Once connected there is no failure of the transport to tell.
    const transport = flag === "UF" ? detail : "";
    const details = `upstream_reset_before_response_started{${name}${transport === "" ? "" : `|${transport}`}}`;
    const made = {
      ...reply(status, `${prefix}${again}${text}`, flag, details.replaceAll(" ", "_")),
      ...(transport === "" ? {} : { transportFailure: transport }),
    };
    return reason === "overflow" ? { ...made, headers: [["x-envoy-overloaded", "true"]] } : made;
  },
  /** The upstream's response ends before its body does. The client has its status line already; this is for the log. */
  upstreamCut: reply(502, "", "UPE", "upstream_reset_after_response_started{protocol_error}"),
} as const;

const RESETS: Readonly<
  Record<ResetReason, { readonly text: string; readonly flag: string; readonly name: string; readonly status: number }>
> = {
  connectFailure: { text: "remote connection failure", flag: "UF", name: "remote_connection_failure", status: 503 },
  tlsFailure: { text: "remote connection failure", flag: "UF", name: "remote_connection_failure", status: 503 },
  connectTimeout: { text: "connection timeout", flag: "UF", name: "connection_timeout", status: 503 },
  connectionTermination: { text: "connection termination", flag: "UC", name: "connection_termination", status: 503 },
  protocolError: { text: "protocol error", flag: "UPE", name: "protocol_error", status: 502 },
  remoteReset: { text: "remote reset", flag: "UR", name: "remote_reset", status: 503 },
  remoteRefused: {
    text: "remote refused stream reset",
    flag: "UR",
    name: "remote_refused_stream_reset",
    status: 503,
  },
  overflow: { text: "overflow", flag: "UO", name: "overflow", status: 503 },
};

function reply(status: number, body: string, flag: string, details: string): LocalReply {
  return { status, body, flag, details };
}

/** gRPC status that stands for an HTTP status on a gRPC request; the HTTP status is 200 then. */
export function grpcStatusOf(httpStatus: number): number {
  switch (httpStatus) {
    case 400:
      return 13;
    case 401:
      return 16;
    case 403:
      return 7;
    case 404:
      return 12;
    case 429:
    case 502:
    case 503:
    case 504:
      return 14;
    default:
      return 2;
  }
}
