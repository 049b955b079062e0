export { remoteConfigWriter } from "./client/config-writer.ts";
export { connectAds, createConnectAds } from "./client/connect-ads.ts";
export { type AlsConnection, type ConnectAlsOptions, connectAls } from "./client/connect-als.ts";
export { backoffMs, type ClientDeps } from "./client/keep-connected.ts";
export { signCsr } from "./client/sign-csr.ts";
export { type WatchConfigOptions, type WatchState, watchConfig } from "./client/watch-config.ts";
export { configEntryCodec } from "./config-entry.ts";
export { adsRelay } from "./local/ads-relay.ts";
export {
  type SecretContent,
  type SecretService,
  type SecretSource,
  secretService,
  type WorkloadSecrets,
} from "./local/secret-service.ts";
export { type LocalGrpcServer, type ServeLocalOptions, serveLocal } from "./local/serve-local.ts";
export { accessLogService, type ReceiveAccessLogs } from "./server/access-log-service.ts";
export { adsService } from "./server/ads-service.ts";
export { certificateService, type SignForCaller, type SignRefusal } from "./server/certificate-service.ts";
export { type ConfigDistributionOptions, configDistributionService } from "./server/config-distribution-service.ts";
export { type HealthService, healthService } from "./server/health-service.ts";
export { type DecideRateLimit, rateLimitService } from "./server/rate-limit-service.ts";
export {
  type GrpcServer,
  type ServeGrpcOptions,
  type ServerLimits,
  type ServerTls,
  serveGrpc,
} from "./server/serve.ts";
export type { Authenticator, GrpcService } from "./server/service.ts";
export { typeServices } from "./server/type-services.ts";
