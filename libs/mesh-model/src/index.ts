export { analyze } from "./analysis/analyze.ts";
export { type FindingCode, findings, type Severity } from "./analysis/messages.ts";
export type { AnalysisFinding, AnalyzeOptions } from "./analysis/types.ts";
export { PROXY_CONFIG_ANNOTATION, proxyDefaultsWith } from "./config/annotation.ts";
export { meshConfigFromConfigMap, meshConfigFromText } from "./config/from-config-map.ts";
export {
  type BootstrapSettings,
  type DefaultTrafficPolicy,
  defaultIngressSettings,
  defaultMeshConfig,
  type ExtAuthzProvider,
  type ExtensionProvider,
  type FileAccessLogProvider,
  type HttpAlsProvider,
  type HttpRetryPolicy,
  type IngressSettings,
  type LocalityLbSetting,
  type MeshConfig,
  type ProxyDefaults,
  type TlsSettings,
} from "./config/mesh-config.ts";
export {
  type MeshNetwork,
  type MeshNetworkGateway,
  meshNetworksFromText,
  networkOfAddress,
} from "./config/networks.ts";
export { type EffectiveProxyConfig, effectiveProxyConfig, IMAGE_TYPE_FORM } from "./config/proxy-configs.ts";
export type { GatewayTopology, ProxyHeaders } from "./config/proxy-headers.ts";
export {
  RATE_LIMITS_CONFIG_MAP,
  type RateLimitDomain,
  type RateLimitRule,
  type RateLimitRuleLimit,
  type RateLimitUnit,
  rateLimitsFromText,
} from "./config/rate-limits.ts";
export { decodeObject, decodeText } from "./decode/decode.ts";
export { encodeObject } from "./decode/encode.ts";
export { settingsFromText, settingsFromValue, valueFromText } from "./decode/settings.ts";
export type {
  DecodedDocument,
  DecodedObject,
  DecodeOptions,
  Locate,
  Path,
  TextInput,
  UndecodedDocument,
} from "./decode/types.ts";
export { canonicalRevisionOf, canonicalServiceOf } from "./identity/canonical.ts";
export {
  CONTROL_COMPONENTS,
  type ControlComponent,
  controlAccount,
  DEFAULT_REVISION,
  injectionWebhookOf,
  nameInRevision,
  parseControlAccount,
  REVISION_FORM,
  REVISION_LABEL,
  validationWebhookOf,
} from "./identity/revision.ts";
export { parseSpiffeId, type SpiffeIdentity, spiffeId } from "./identity/spiffe.ts";
export { keyOf, parseResourceKey, type ResourceKey, resourceKey } from "./key.ts";
export { DRY_RUN_ANNOTATION } from "./kinds/authorization-policy/validate.ts";
export { fieldPaths, usedPaths } from "./kinds/field-paths.ts";
export * from "./kinds/index.ts";
export { GATEWAY_NAME_LABEL, isTarget, type Targeting, type TargetReference, targetsOf } from "./kinds/targets.ts";
export { STANDARD_METRICS } from "./kinds/telemetry/schema.ts";
export { grpcStatusCode } from "./kinds/virtual-service/grpc-status.ts";
export { type ObjectMeta, objectMetaSchema } from "./metadata.ts";
export { type Diagnostic, type DiagnosticLevel, diagnosticText, formatOrigin, type Origin } from "./origin.ts";
export {
  type EnumNode,
  type FieldNode,
  type Infer,
  type InferObject,
  type NumberNode,
  type ObjectNode,
  type Optional,
  type Required,
  type Schema,
  type SchemaNode,
  s,
} from "./schema/index.ts";
export { AUTO_ADDRESS_CIDR, autoAddresses, autoAddressKey, needsAutoAddress } from "./services/auto-address.ts";
export { assignClusterIp, SERVICE_CIDR } from "./services/cluster-ip.ts";
export { type EndpointWorld, endpointsOf, labelsMatch, localityOf } from "./services/endpoints.ts";
export { DEFAULT_DOMAIN, hostMatches, hostsIntersect, kubernetesHost, shortHostToFqdn } from "./services/hosts.ts";
export { createdAt, isMachineBound, serviceFromKubernetes } from "./services/kubernetes.ts";
export { type LabelSelector, labelSelectorMatches } from "./services/label-selector.ts";
export { mergeServices } from "./services/merge.ts";
export { isHttpProtocol, isTlsProtocol, parseProtocol, protocolOf } from "./services/protocol.ts";
export { servicesFromServiceEntry } from "./services/service-entry.ts";
export type {
  MeshService,
  MeshServicePort,
  Protocol,
  ServiceEndpoint,
  ServiceHost,
  Workload,
} from "./services/types.ts";
export { containerPortsOf, type PodStatus, podStatusOf, workloadFromPod, workloadNameOf } from "./services/workload.ts";
export {
  AUTO_REGISTRATION_GROUP,
  HEALTH_CHECKS_ENABLED,
  HEALTHY_CONDITION,
  isHealthyEntry,
  type RegisteringWorkload,
  workloadEntryOf,
} from "./services/workload-group.ts";
export { conditionClaim, headerClaim } from "./validation/claims.ts";
export { isIp } from "./validation/ip.ts";
export { usableCipherSuites } from "./validation/tls.ts";
