import type { Clock, Scope } from "@lateen/kernel";
import { durationFromMs } from "@lateen/proto";
import type { Node } from "@lateen/proto/envoy/config/core/v3/base";
import type {
  AccessLogCommon,
  HTTPAccessLogEntry,
  ResponseFlags,
  TCPAccessLogEntry,
} from "@lateen/proto/envoy/data/accesslog/v3/accesslog";
import type { StreamAccessLogsMessage } from "@lateen/proto/envoy/service/accesslog/v3/als";
import type { DeepPartial } from "@lateen/proto/typeRegistry";
import type { WorkloadFacts } from "../config/plan.ts";
import type { AccessRecord } from "../worker/protocol.ts";

/** Records that may wait for the service; the newest beyond it are dropped. */
const MAX_WAITING = 8192;
const MAX_BATCH = 256;
const RETRY_MS = 1000;

/** What makes a complete message out of a partial one; the generated message object. */
export interface MessageMaker {
  fromPartial(object: DeepPartial<StreamAccessLogsMessage>): StreamAccessLogsMessage;
}

export interface RecordSenderOptions {
  readonly scope: Scope;
  readonly clock: Clock;
  readonly node: Node;
  readonly messages: MessageMaker;
  readonly send: (message: StreamAccessLogsMessage) => boolean;
}

/**
 * Access-log records on their way to the telemetry service. The queue is bounded; what does not fit, and what workers dropped
 * before, is counted in `dropped`.
 */
export class RecordSender {
  readonly #options: RecordSenderOptions;
  readonly #waiting: { readonly logName: string; readonly record: AccessRecord }[] = [];
  #timer: (() => void) | undefined;
  dropped = 0;
  sent = 0;

  constructor(options: RecordSenderOptions) {
    this.#options = options;
    options.scope.defer(() => {
      this.flush();
      this.#timer?.();
    });
  }

  add(logName: string, records: readonly AccessRecord[], droppedBefore: number): void {
    this.dropped += droppedBefore;
    for (const record of records) {
      if (this.#waiting.length >= MAX_WAITING) this.dropped++;
      else this.#waiting.push({ logName, record });
    }
    this.flush();
  }

  /** Sends what the service takes now; the rest is tried again in a second. */
  flush(): void {
    while (this.#waiting.length > 0) {
      const logName = this.#waiting[0]?.logName ?? "";
      let count = 0;
      while (count < MAX_BATCH && this.#waiting[count]?.logName === logName) count++;
      const batch = this.#waiting.slice(0, count).map(({ record }) => record);
      if (!this.#options.send(this.#message(logName, batch))) break;
      this.#waiting.splice(0, count);
      this.sent += count;
    }
    if (this.#waiting.length === 0 || this.#options.scope.closed) return;
    this.#timer ??= this.#options.clock.after(RETRY_MS, () => {
      this.#timer = undefined;
      this.flush();
    });
  }

  #message(logName: string, records: readonly AccessRecord[]): StreamAccessLogsMessage {
    const identifier = { node: this.#options.node, logName };
    // One message carries one kind; a TCP record among HTTP ones is rare enough to be sent as an HTTP entry without a request.
    const tcp = records.every(({ protocol }) => protocol === "tcp");
    return this.#options.messages.fromPartial({
      identifier,
      logEntries: tcp
        ? { $case: "tcpLogs", value: { logEntry: records.map(tcpEntry) } }
        : { $case: "httpLogs", value: { logEntry: records.map(httpEntry) } },
    });
  }
}

const VERSIONS = { "http/1.0": 1, "http/1.1": 2, "http/2": 3, tcp: 0 } as const;
const METHODS = ["", "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

function httpEntry(record: AccessRecord): DeepPartial<HTTPAccessLogEntry> {
  return {
    commonProperties: common(record),
    protocolVersion: VERSIONS[record.protocol],
    request: {
      requestMethod: Math.max(0, METHODS.indexOf(record.method)) as 0,
      scheme: "http",
      authority: record.authority,
      path: record.path,
      userAgent: record.userAgent,
      requestId: record.requestId,
      requestBodyBytes: BigInt(record.bytesReceived),
    },
    response: {
      responseCode: record.responseCode,
      responseBodyBytes: BigInt(record.bytesSent),
      responseCodeDetails: record.responseDetails,
    },
  };
}

function tcpEntry(record: AccessRecord): DeepPartial<TCPAccessLogEntry> {
  return {
    commonProperties: common(record),
    connectionProperties: { receivedBytes: BigInt(record.bytesReceived), sentBytes: BigInt(record.bytesSent) },
  };
}

function common(record: AccessRecord): DeepPartial<AccessLogCommon> {
  const startMs = record.startTimeMs;
  const seconds = Math.floor(startMs / 1000);
  const peer = (principal: string) => ({
    peerCertificateProperties: { subjectAltName: [{ san: { $case: "uri" as const, value: principal } }] },
    localCertificateProperties: { subjectAltName: [{ san: { $case: "uri" as const, value: record.localPrincipal } }] },
  });
  return {
    startTime: { seconds: BigInt(seconds), nanos: Math.round((startMs - seconds * 1000) * 1e6) },
    timeToLastDownstreamTxByte: durationFromMs(record.durationMs),
    duration: durationFromMs(record.durationMs),
    responseFlags: flags(record.responseFlags),
    upstreamCluster: record.upstreamCluster,
    upstreamRemoteAddress: address(record.upstreamHost),
    downstreamRemoteAddress: address(record.downstreamRemoteAddress),
    downstreamLocalAddress: address(record.downstreamLocalAddress),
    routeName: record.routeName,
    ...(record.peerPrincipal === "" ? {} : { tlsProperties: peer(record.peerPrincipal) }),
    customTags: tags(record),
  };
}

const FLAG_FIELDS: Readonly<Record<string, keyof ResponseFlags>> = {
  LH: "failedLocalHealthcheck",
  UH: "noHealthyUpstream",
  UT: "upstreamRequestTimeout",
  LR: "localReset",
  UR: "upstreamRemoteReset",
  UF: "upstreamConnectionFailure",
  UC: "upstreamConnectionTermination",
  UO: "upstreamOverflow",
  NR: "noRouteFound",
  DI: "delayInjected",
  FI: "faultInjected",
  RL: "rateLimited",
  DC: "downstreamConnectionTermination",
  URX: "upstreamRetryLimitExceeded",
  SI: "streamIdleTimeout",
  IH: "invalidEnvoyRequestHeaders",
  DPE: "downstreamProtocolError",
  UMSDR: "upstreamMaxStreamDurationReached",
  DT: "durationTimeout",
  UPE: "upstreamProtocolError",
  NC: "noClusterFound",
  OM: "overloadManager",
  DF: "dnsResolutionFailure",
  DR: "downstreamRemoteReset",
};

function flags(text: string): DeepPartial<ResponseFlags> {
  const known = text.split(",").flatMap((flag) => FLAG_FIELDS[flag] ?? []);
  return {
    ...Object.fromEntries(known.map((name) => [name, true])),
    ...(text.includes("UAEX") ? { unauthorizedDetails: { reason: 1 } } : {}),
  };
}

/** Flags and peers that the entry has no field for travel as custom tags. */
function tags(record: AccessRecord): Record<string, string> {
  const values: Record<string, string> = {
    reporter: record.reporter,
    response_flags: record.responseFlags,
    destination_service: record.destinationService,
  };
  const add = (side: string, facts: WorkloadFacts | undefined): void => {
    if (facts === undefined) return;
    values[`${side}_workload`] = facts.workload;
    values[`${side}_namespace`] = facts.namespace;
    values[`${side}_app`] = facts.app;
    values[`${side}_version`] = facts.version;
    values[`${side}_canonical_service`] = facts.canonicalService;
    values[`${side}_canonical_revision`] = facts.canonicalRevision;
    values[`${side}_cluster`] = facts.cluster;
  };
  add("source", record.source);
  add("destination", record.destination);
  return values;
}

function address(text: string) {
  const colon = text.lastIndexOf(":");
  if (colon < 0) return undefined;
  const portSpecifier = { $case: "portValue" as const, value: Number(text.slice(colon + 1)) || 0 };
  const host = text.slice(0, colon).replaceAll(/[[\]]/g, "");
  return { address: { $case: "socketAddress" as const, value: { address: host, portSpecifier } } };
}
