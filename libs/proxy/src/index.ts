export type { ConnectionLogFacts, RequestLogFacts } from "./access-log/facts.ts";
export { type ProxyAppParts, runProxyApp } from "./agent/app.ts";
export type { AgentPorts } from "./agent/faces.ts";
export { type ProxyFlags, type ProxyFlavour, proxyAgentConfig, proxyFlags } from "./agent/flags.ts";
export { CAPABILITIES, listedExtensions } from "./agent/node.ts";
export type { AgentConfig, AgentDependencies, ControlPlaneClients, LogLevel, ProxyFacts } from "./agent/options.ts";
export { podArguments } from "./agent/pod/pod-arguments.ts";
export { runRequest, runWait, type ToolOutput } from "./agent/pod/tools.ts";
export { type Agent, runAgent } from "./agent/run-agent.ts";
export type * from "./chain/spi.ts";
export {
  cidr,
  clusterSpec,
  type DecodeContext,
  type DecodedCluster,
  type DecodeRun,
  decodeRun,
  dnsCache,
  fractionOf,
  headerMatch,
  join,
  listenerSpec,
  localities,
  metadataMatch,
  millis,
  nameTable,
  onlyFields,
  optionalMs,
  queryMatch,
  Refusal,
  re2Pattern,
  refuse,
  routeMatch,
  routeTable,
  runtimeFraction,
  stringMatch,
} from "./config/decode/index.ts";
export { metricsSpec } from "./config/decode/metrics.ts";
export type * from "./config/plan.ts";
export type { BrokenKind, ConnectionRecord, UpstreamRecord, WantedConnection } from "./explain/connection-record.ts";
export type { AttemptFailure, ForwardRecord, RequestRecord } from "./explain/request-record.ts";
export type { ConnectionInfo } from "./listener/connection-info.ts";
export { type Normalised, normalisePath, type PathRules } from "./router/normalise-path.ts";
export { CustomMetrics } from "./stats/custom-metrics.ts";
export type { HostOutcome } from "./upstream/dynamic-hosts.ts";
export { runWorker } from "./worker/main.ts";
export type * from "./worker/protocol.ts";
