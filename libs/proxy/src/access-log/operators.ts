import type { FormatOperator } from "@lateen/traffic";
import { headerName } from "../http1/header-name.ts";
import { addressText } from "../listener/connection-info.ts";
import type { ConnectionLogFacts, RequestLogFacts } from "./facts.ts";
import type { LineBuffer } from "./line-buffer.ts";
import { timeFormat } from "./time.ts";

/** Reads one command operator's value; undefined is Envoy's "unset": `-` in text, null in JSON. */
export type OperatorValue = (facts: ConnectionLogFacts) => string | number | undefined;

/** What operators know beside the exchange. */
export interface OperatorEnvironment {
  readonly hostname: string;
  readonly variables: Readonly<Record<string, string | undefined>>;
  /** URI SAN of this workload's certificate. */
  readonly localPrincipal: string;
}

/**
 * Compiles one operator of Envoy's access-log formats.
 * @returns a message when this proxy has no such operator.
 * @see https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage#command-operators
 */
export function compileOperator(operator: FormatOperator, environment: OperatorEnvironment): OperatorValue | string {
  const { name, argument } = operator;
  const plain = PLAIN[name];
  if (plain !== undefined) return limited(plain, operator.maxLength);
  switch (name) {
    case "REQ":
      return limited(
        header(argument, (request, field) => request.requestHeader(field)),
        operator.maxLength,
      );
    case "REQ_WITHOUT_QUERY":
      return limited(
        header(argument, (request, field) => request.requestHeader(field)?.split("?", 1).join("")),
        operator.maxLength,
      );
    case "RESP":
      return limited(
        header(argument, (request, field) => request.responseHeader(field)),
        operator.maxLength,
      );
    case "TRAILER":
      return limited(
        header(argument, (request, field) => request.responseTrailer(field)),
        operator.maxLength,
      );
    case "START_TIME":
    case "START_TIME_LOCAL": {
      const text = timeFormat(argument);
      if (text === undefined) return `%${name}(${argument})%: the time format is not supported`;
      return (facts) => text(facts.startTimeMs);
    }
    case "HOSTNAME":
      return () => environment.hostname;
    case "ENVIRONMENT":
      return limited(() => environment.variables[argument], operator.maxLength);
    case "DOWNSTREAM_LOCAL_URI_SAN":
      return ({ info }) => (info.secure ? orUnset(environment.localPrincipal) : undefined);
    // Nothing in this proxy sets dynamic metadata or filter state: both are always unset.
    case "DYNAMIC_METADATA":
    case "FILTER_STATE":
    case "UPSTREAM_FILTER_STATE":
      return () => undefined;
    default:
      return `%${name}% is not supported by this proxy`;
  }
}

/** Writes one operator's value into a line. */
export type OperatorWriter = (facts: ConnectionLogFacts, out: LineBuffer) => void;

/** As {@link compileOperator}, for lines of text. */
export function compileOperatorWriter(
  operator: FormatOperator,
  environment: OperatorEnvironment,
): OperatorWriter | string {
  if (operator.name === "REQ" && operator.maxLength === undefined) return requestHeaderWriter(operator.argument);
  const value = compileOperator(operator, environment);
  return typeof value === "string" ? value : (facts, out) => out.value(value(facts));
}

/** `X?Y`: the first header that is there. No text is made of it. */
function requestHeaderWriter(argument: string): OperatorWriter {
  const names = argument.split("?", 2).map(headerName);
  return ({ request }, out) => {
    if (request !== undefined) {
      for (let i = 0; i < names.length; i++) {
        const name = names[i] as (typeof names)[number];
        if (request.putRequestHeader !== undefined) {
          if (request.putRequestHeader(name, out)) return;
          continue;
        }
        const value = request.requestHeader(name.name);
        if (value !== undefined) return out.text(value);
      }
    }
    out.text("-");
  };
}

function orUnset(text: string | undefined): string | undefined {
  return text === "" ? undefined : text;
}

function limited(value: OperatorValue, maxLength: number | undefined): OperatorValue {
  if (maxLength === undefined) return value;
  return (facts) => {
    const text = value(facts);
    return text === undefined ? undefined : String(text).slice(0, maxLength);
  };
}

/** `X?Y`: the first header that is there. */
function header(argument: string, read: (request: RequestLogFacts, name: string) => string | undefined): OperatorValue {
  const [first = "", second] = argument.toLowerCase().split("?", 2);
  return ({ request }) => {
    if (request === undefined) return undefined;
    const value = read(request, first);
    return value === undefined && second !== undefined ? read(request, second) : value;
  };
}

const wholeMs = (ms: number | undefined): number | undefined => (ms === undefined ? undefined : Math.floor(ms));
const peerOf = (facts: ConnectionLogFacts) => facts.info.peer;

const PLAIN: Readonly<Record<string, OperatorValue>> = {
  DURATION: (facts) => wholeMs(facts.durationMs),
  REQUEST_DURATION: ({ request }) => wholeMs(request?.requestDurationMs),
  RESPONSE_DURATION: ({ request }) => wholeMs(request?.responseDurationMs),
  RESPONSE_TX_DURATION: (facts) =>
    facts.request?.responseDurationMs === undefined
      ? undefined
      : Math.floor(facts.durationMs - facts.request.responseDurationMs),
  PROTOCOL: ({ request }) => request?.protocol,
  RESPONSE_CODE: ({ request }) => request?.status ?? 0,
  RESPONSE_FLAGS: (facts) => orUnset(facts.flags),
  RESPONSE_FLAGS_LONG: (facts) => orUnset(longFlags(facts.flags)),
  RESPONSE_CODE_DETAILS: ({ request }) => orUnset(request?.details),
  CONNECTION_ID: ({ info }) => info.connectionId,
  CONNECTION_TERMINATION_DETAILS: (facts) => orUnset(facts.terminationDetails),
  BYTES_RECEIVED: (facts) => facts.bytesReceived,
  BYTES_SENT: (facts) => facts.bytesSent,
  UPSTREAM_HOST: (facts) => orUnset(facts.upstreamHost),
  UPSTREAM_REMOTE_ADDRESS: (facts) => orUnset(facts.upstreamHost),
  UPSTREAM_CLUSTER: (facts) => orUnset(facts.upstreamCluster),
  UPSTREAM_CLUSTER_RAW: (facts) => orUnset(facts.upstreamCluster),
  UPSTREAM_LOCAL_ADDRESS: (facts) => orUnset(facts.upstreamLocalAddress),
  UPSTREAM_TRANSPORT_FAILURE_REASON: (facts) => orUnset(facts.upstreamFailure),
  UPSTREAM_REQUEST_ATTEMPT_COUNT: ({ request }) => request?.attempts,
  DOWNSTREAM_REMOTE_ADDRESS: remoteAddress,
  DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT: (facts) => facts.request?.remoteAddress ?? facts.info.sourceAddress,
  DOWNSTREAM_REMOTE_PORT: ({ info }) => info.sourcePort,
  DOWNSTREAM_DIRECT_REMOTE_ADDRESS: ({ info }) => addressText(info.sourceAddress, info.sourcePort),
  DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT: ({ info }) => info.sourceAddress,
  DOWNSTREAM_LOCAL_ADDRESS: ({ info }) => addressText(info.destinationAddress, info.destinationPort),
  DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT: ({ info }) => info.destinationAddress,
  DOWNSTREAM_LOCAL_PORT: ({ info }) => info.destinationPort,
  REQUESTED_SERVER_NAME: ({ info }) => orUnset(latin1(info.serverName)),
  ROUTE_NAME: ({ request }) => orUnset(latin1(request?.routeName ?? "")),
  GRPC_STATUS: ({ request }) => grpcStatusName(request?.grpcStatus ?? -1),
  GRPC_STATUS_NUMBER: ({ request }) => ((request?.grpcStatus ?? -1) < 0 ? undefined : request?.grpcStatus),
  STREAM_ID: ({ request }) => orUnset(request?.requestId),
  DOWNSTREAM_PEER_URI_SAN: (facts) => orUnset(latin1(peerOf(facts)?.uris.join(",") ?? "")),
  DOWNSTREAM_PEER_DNS_SAN: (facts) => orUnset(latin1(peerOf(facts)?.dns.join(",") ?? "")),
  DOWNSTREAM_PEER_SUBJECT: (facts) => orUnset(latin1(peerOf(facts)?.subject ?? "")),
  DOWNSTREAM_PEER_FINGERPRINT_256: (facts) => orUnset(peerOf(facts)?.hash),
};

/** @see https://grpc.github.io/grpc/core/md_doc_statuscodes.html */
const GRPC_STATUSES: readonly string[] = [
  "OK",
  "Canceled",
  "Unknown",
  "InvalidArgument",
  "DeadlineExceeded",
  "NotFound",
  "AlreadyExists",
  "PermissionDenied",
  "ResourceExhausted",
  "FailedPrecondition",
  "Aborted",
  "OutOfRange",
  "Unimplemented",
  "Internal",
  "Unavailable",
  "DataLoss",
  "Unauthenticated",
];

/** As Envoy spells it; numbers without a name stay numbers. */
function grpcStatusName(status: number): string | undefined {
  return status < 0 ? undefined : (GRPC_STATUSES[status] ?? String(status));
}

/** The client as seen through X-Forwarded-For; then its port is not known and Envoy writes 0. */
function remoteAddress({ request, info }: ConnectionLogFacts): string {
  if (request === undefined || request.remoteAddress === info.sourceAddress) {
    return addressText(info.sourceAddress, info.sourcePort);
  }
  return addressText(request.remoteAddress, 0);
}

/** Text of configuration or certificates as one character a byte, so that no character can turn into a line end. */
function latin1(text: string): string {
  if (!/[^ -~]/.test(text)) return text;
  return Buffer.from(text.replace(/\p{Cc}/gu, "?"), "utf8").toString("latin1");
}

const LONG_FLAGS: Readonly<Record<string, string>> = {
  DC: "DownstreamConnectionTermination",
  DI: "DelayInjected",
  DPE: "DownstreamProtocolError",
  DT: "DurationTimeout",
  FI: "FaultInjected",
  NC: "NoClusterFound",
  NR: "NoRouteFound",
  RL: "RateLimited",
  SI: "StreamIdleTimeout",
  UC: "UpstreamConnectionTermination",
  UF: "UpstreamConnectionFailure",
  UH: "NoHealthyUpstream",
  UO: "UpstreamOverflow",
  UPE: "UpstreamProtocolError",
  URX: "UpstreamRetryLimitExceeded",
  UT: "UpstreamRequestTimeout",
};

function longFlags(flags: string): string {
  return flags
    .split(",")
    .map((flag) => LONG_FLAGS[flag] ?? flag)
    .join(",");
}
