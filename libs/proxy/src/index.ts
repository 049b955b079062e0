export { type ProxyAppParts, runProxyApp } from "./agent/app.ts";
export type { AgentPorts } from "./agent/faces.ts";
export { type ProxyFlags, type ProxyFlavour, proxyAgentConfig, proxyFlags } from "./agent/flags.ts";
export type { AgentConfig, AgentDependencies, ControlPlaneClients, LogLevel, ProxyFacts } from "./agent/options.ts";
export { type Agent, runAgent } from "./agent/run-agent.ts";
export type * from "./chain/spi.ts";
export {
  cidr,
  fractionOf,
  headerMatch,
  join,
  onlyFields,
  queryMatch,
  Refusal,
  re2Pattern,
  refuse,
  runtimeFraction,
  stringMatch,
} from "./config/decode/index.ts";
export type * from "./config/plan.ts";
export { runWorker } from "./worker/main.ts";
export type * from "./worker/protocol.ts";
