export type { Bus, EventTopic, StateDelta, StateEntry, StateTopic } from "./bus.ts";
export {
  type AcceptedObject,
  CONFIG_TOPIC,
  type ConfigSource,
  type ConfigStore,
  type ConfigWriter,
  type FileOverride,
  type RawDocument,
  type RejectedObject,
  type StoreChange,
  type StoredState,
} from "./config.ts";
export type { DocumentSource } from "./documents.ts";
export { parseExposition } from "./exposition.ts";
export type { Authenticator, Caller, CaMaterial, SecretStore, TokenIdentity, TokenReviewer } from "./identity.ts";
export type { KeySetStore } from "./key-sets.ts";
export type { HeldLease, Lease } from "./lease.ts";
export type { QuotaStore } from "./quota.ts";
export type { RegistryDelta, RegistryObject, ServiceRegistry } from "./registry.ts";
export type { Condition, StatusWriter } from "./status.ts";
export type { Sample, ScrapeTarget, TelemetrySource } from "./telemetry.ts";
export type { WebhookConfiguration, WebhookRegistry } from "./webhooks.ts";
export type {
  AdsClientEvents,
  AdsServer,
  AdsSession,
  AdsTransport,
  ChannelIdentity,
  ChannelOptions,
  ConnectAds,
  SignCsr,
} from "./xds.ts";
