import type { ObjectMeta } from "../metadata.ts";
import type { Infer, ObjectNode, Schema } from "../schema/index.ts";
import type { Check } from "../validation/check.ts";
import { authorizationPolicyBody } from "./authorization-policy/schema.ts";
import { validateAuthorizationPolicy } from "./authorization-policy/validate.ts";
import { backendTlsPolicyBody } from "./backend-tls-policy/schema.ts";
import { validateBackendTlsPolicy } from "./backend-tls-policy/validate.ts";
import { configMapBody } from "./config-map/schema.ts";
import { validateConfigMap } from "./config-map/validate.ts";
import { deploymentBody } from "./deployment/schema.ts";
import { validateDeployment } from "./deployment/validate.ts";
import { destinationRuleBody } from "./destination-rule/schema.ts";
import { validateDestinationRule } from "./destination-rule/validate.ts";
import { endpointSliceBody } from "./endpoint-slice/schema.ts";
import { endpointsBody } from "./endpoints/schema.ts";
import { envoyFilterBody } from "./envoy-filter/schema.ts";
import { validateEnvoyFilter } from "./envoy-filter/validate.ts";
import { gatewayBody } from "./gateway/schema.ts";
import { validateGateway } from "./gateway/validate.ts";
import { gatewayClassBody } from "./gateway-class/schema.ts";
import { grpcRouteBody } from "./grpc-route/schema.ts";
import { validateGrpcRoute } from "./grpc-route/validate.ts";
import { httpRouteBody } from "./http-route/schema.ts";
import { validateHttpRoute } from "./http-route/validate.ts";
import { ingressBody } from "./ingress/schema.ts";
import { validateIngress } from "./ingress/validate.ts";
import { ingressClassBody } from "./ingress-class/schema.ts";
import { kubernetesGatewayBody } from "./kubernetes-gateway/schema.ts";
import { validateKubernetesGateway } from "./kubernetes-gateway/validate.ts";
import { localRuntimeBody } from "./local-runtime/schema.ts";
import { validateLocalRuntime } from "./local-runtime/validate.ts";
import { namespaceBody } from "./namespace/schema.ts";
import { nodeBody } from "./node/schema.ts";
import { peerAuthenticationBody } from "./peer-authentication/schema.ts";
import { validatePeerAuthentication } from "./peer-authentication/validate.ts";
import { podBody } from "./pod/schema.ts";
import { validatePod } from "./pod/validate.ts";
import { proxyConfigBody } from "./proxy-config/schema.ts";
import { validateProxyConfig } from "./proxy-config/validate.ts";
import { referenceGrantBody } from "./reference-grant/schema.ts";
import { requestAuthenticationBody } from "./request-authentication/schema.ts";
import { validateRequestAuthentication } from "./request-authentication/validate.ts";
import { secretBody } from "./secret/schema.ts";
import { normalizeSecret, validateSecret } from "./secret/validate.ts";
import { serviceBody } from "./service/schema.ts";
import { validateService } from "./service/validate.ts";
import { serviceAccountBody } from "./service-account/schema.ts";
import { serviceEntryBody } from "./service-entry/schema.ts";
import { validateServiceEntry } from "./service-entry/validate.ts";
import { sidecarBody } from "./sidecar/schema.ts";
import { validateSidecar } from "./sidecar/validate.ts";
import { statefulSetBody } from "./stateful-set/schema.ts";
import { validateStatefulSet } from "./stateful-set/validate.ts";
import { tcpRouteBody } from "./tcp-route/schema.ts";
import { validateTcpRoute } from "./tcp-route/validate.ts";
import { telemetryBody } from "./telemetry/schema.ts";
import { validateTelemetry } from "./telemetry/validate.ts";
import { tlsRouteBody } from "./tls-route/schema.ts";
import { validateTlsRoute } from "./tls-route/validate.ts";
import { virtualServiceBody } from "./virtual-service/schema.ts";
import { validateVirtualService } from "./virtual-service/validate.ts";
import { wasmPluginBody } from "./wasm-plugin/schema.ts";
import { validateWasmPlugin } from "./wasm-plugin/validate.ts";
import { workloadEntryBody } from "./workload-entry/schema.ts";
import { validateWorkloadEntry } from "./workload-entry/validate.ts";
import { workloadGroupBody } from "./workload-group/schema.ts";
import { validateWorkloadGroup } from "./workload-group/validate.ts";

/** What is true of a kind besides its fields. `body` holds the fields beside apiVersion, kind and metadata. */
export interface KindDefinition<B> {
  readonly group: string;
  /** The version objects are stored under, first; the others are accepted aliases. */
  readonly versions: readonly [string, ...string[]];
  readonly plural: string;
  /** What objects say in `kind`, where that word is another kind's name here. Default: the name in the table. */
  readonly writtenAs?: string;
  readonly shortNames: readonly string[];
  readonly scope: "Namespaced" | "Cluster";
  readonly body: Schema<B>;
  /** Checks beyond the schema; see {@link KindContext}. */
  readonly validate?: (body: B, context: KindContext) => void;
  /** Rewrites a valid body into its one canonical form. */
  readonly normalize?: (body: B) => B;
}

/** What a kind's validation may use beside the body. Findings go to `check`, whose path is the object's root. */
export interface KindContext {
  readonly check: Check;
  readonly metadata: ObjectMeta;
}

type Table<B> = Pick<KindDefinition<B>, "group" | "versions" | "plural" | "shortNames">;
type Hooks<B> = Pick<KindDefinition<B>, "validate" | "normalize" | "writtenAs"> & { readonly scope?: "Cluster" };

function kind<B>(table: Table<B>, body: Schema<B>, hooks: Hooks<B> = {}): KindDefinition<B> {
  return { scope: "Namespaced", ...table, body, ...hooks };
}

function core(plural: string, ...shortNames: readonly string[]) {
  return { group: "", versions: ["v1"], plural, shortNames } as const;
}
function networking(plural: string, ...shortNames: readonly string[]) {
  return { group: "networking.istio.io", versions: ["v1", "v1beta1", "v1alpha3"], plural, shortNames } as const;
}
function security(plural: string, ...shortNames: readonly string[]) {
  return { group: "security.istio.io", versions: ["v1", "v1beta1"], plural, shortNames } as const;
}

function gatewayApi(plural: string, versions: readonly [string, ...string[]], ...shortNames: readonly string[]) {
  return { group: "gateway.networking.k8s.io", versions, plural, shortNames } as const;
}

/** Every kind Lateen knows. The one list that decoding, the CLI, and (later) CRDs and docs read. */
export const kinds = {
  Service: kind(core("services", "svc"), serviceBody, { validate: validateService }),
  Endpoints: kind(core("endpoints", "ep"), endpointsBody),
  EndpointSlice: kind(
    { group: "discovery.k8s.io", versions: ["v1", "v1beta1"], plural: "endpointslices", shortNames: [] },
    endpointSliceBody,
  ),
  Pod: kind(core("pods", "po"), podBody, { validate: validatePod }),
  Deployment: kind({ group: "apps", versions: ["v1"], plural: "deployments", shortNames: ["deploy"] }, deploymentBody, {
    validate: validateDeployment,
  }),
  StatefulSet: kind({ group: "apps", versions: ["v1"], plural: "statefulsets", shortNames: ["sts"] }, statefulSetBody, {
    validate: validateStatefulSet,
  }),
  ServiceAccount: kind(core("serviceaccounts", "sa"), serviceAccountBody),
  Node: kind(core("nodes", "no"), nodeBody, { scope: "Cluster" }),
  Namespace: kind(core("namespaces", "ns"), namespaceBody, { scope: "Cluster" }),
  ConfigMap: kind(core("configmaps", "cm"), configMapBody, { validate: validateConfigMap }),
  Secret: kind(core("secrets"), secretBody, { validate: validateSecret, normalize: normalizeSecret }),
  VirtualService: kind(networking("virtualservices", "vs"), virtualServiceBody, { validate: validateVirtualService }),
  DestinationRule: kind(networking("destinationrules", "dr"), destinationRuleBody, {
    validate: validateDestinationRule,
  }),
  Gateway: kind(networking("gateways", "gw"), gatewayBody, { validate: validateGateway }),
  ServiceEntry: kind(networking("serviceentries", "se"), serviceEntryBody, { validate: validateServiceEntry }),
  WorkloadEntry: kind(networking("workloadentries", "we"), workloadEntryBody, { validate: validateWorkloadEntry }),
  WorkloadGroup: kind(networking("workloadgroups", "wg"), workloadGroupBody, { validate: validateWorkloadGroup }),
  Sidecar: kind(networking("sidecars"), sidecarBody, { validate: validateSidecar }),
  PeerAuthentication: kind(security("peerauthentications", "pa"), peerAuthenticationBody, {
    validate: validatePeerAuthentication,
  }),
  AuthorizationPolicy: kind(security("authorizationpolicies", "ap"), authorizationPolicyBody, {
    validate: validateAuthorizationPolicy,
  }),
  ProxyConfig: kind(
    { group: "networking.istio.io", versions: ["v1beta1"], plural: "proxyconfigs", shortNames: [] },
    proxyConfigBody,
    { validate: validateProxyConfig },
  ),
  Telemetry: kind(
    { group: "telemetry.istio.io", versions: ["v1", "v1alpha1"], plural: "telemetries", shortNames: ["telemetry"] },
    telemetryBody,
    { validate: validateTelemetry },
  ),
  RequestAuthentication: kind(security("requestauthentications", "ra"), requestAuthenticationBody, {
    validate: validateRequestAuthentication,
  }),
  EnvoyFilter: kind(
    { group: "networking.istio.io", versions: ["v1alpha3"], plural: "envoyfilters", shortNames: [] },
    envoyFilterBody,
    { validate: validateEnvoyFilter },
  ),
  WasmPlugin: kind(
    { group: "extensions.istio.io", versions: ["v1alpha1"], plural: "wasmplugins", shortNames: [] },
    wasmPluginBody,
    { validate: validateWasmPlugin },
  ),
  GatewayClass: kind(gatewayApi("gatewayclasses", ["v1", "v1beta1"], "gc"), gatewayClassBody, { scope: "Cluster" }),
  KubernetesGateway: kind(gatewayApi("gateways", ["v1", "v1beta1"], "gtw"), kubernetesGatewayBody, {
    validate: validateKubernetesGateway,
    writtenAs: "Gateway",
  }),
  HTTPRoute: kind(gatewayApi("httproutes", ["v1", "v1beta1"]), httpRouteBody, { validate: validateHttpRoute }),
  GRPCRoute: kind(gatewayApi("grpcroutes", ["v1", "v1alpha2"]), grpcRouteBody, { validate: validateGrpcRoute }),
  TLSRoute: kind(gatewayApi("tlsroutes", ["v1", "v1alpha3", "v1alpha2"]), tlsRouteBody, {
    validate: validateTlsRoute,
  }),
  TCPRoute: kind(gatewayApi("tcproutes", ["v1alpha2", "v1"]), tcpRouteBody, { validate: validateTcpRoute }),
  ReferenceGrant: kind(gatewayApi("referencegrants", ["v1", "v1beta1"], "refgrant"), referenceGrantBody),
  BackendTLSPolicy: kind(gatewayApi("backendtlspolicies", ["v1", "v1alpha3"], "btlspolicy"), backendTlsPolicyBody, {
    validate: validateBackendTlsPolicy,
  }),
  Ingress: kind(
    { group: "networking.k8s.io", versions: ["v1"], plural: "ingresses", shortNames: ["ing"] },
    ingressBody,
    { validate: validateIngress },
  ),
  IngressClass: kind(
    { group: "networking.k8s.io", versions: ["v1"], plural: "ingressclasses", shortNames: [] },
    ingressClassBody,
    { scope: "Cluster" },
  ),
  LocalRuntime: kind(
    { group: "lateen.dev", versions: ["v1alpha1"], plural: "localruntimes", shortNames: [] },
    localRuntimeBody,
    { validate: validateLocalRuntime },
  ),
} as const;

export type KindName = keyof typeof kinds;

/** A kind without its static types, for code that is driven by the schema. */
export interface ErasedKind extends Omit<KindDefinition<unknown>, "body" | "validate" | "normalize"> {
  readonly body: ObjectNode;
  readonly validate?: (body: unknown, context: KindContext) => void;
  readonly normalize?: (body: unknown) => unknown;
}

/** The definition of a kind, its types erased: the caller passes bodies that the same definition's schema has decoded. */
export function kindDefinition(kind: KindName): ErasedKind {
  return kinds[kind] as unknown as ErasedKind;
}

/** The kind that a document of this API group and `kind` is of; undefined for one that is not known. */
export function kindNameOf(group: string, written: string): KindName | undefined {
  const found = Object.keys(kinds).find((name) => {
    const definition = kindDefinition(name as KindName);
    return definition.group === group && (definition.writtenAs ?? name) === written;
  });
  return found as KindName | undefined;
}

type BodyOf<K extends KindName> = Infer<(typeof kinds)[K]["body"]>;

/** A decoded object: the JSON of the API, checked, with metadata completed. Narrow it by `kind`. */
export type Resource<K extends KindName = KindName> = K extends KindName
  ? { readonly apiVersion: string; readonly kind: K; readonly metadata: ObjectMeta } & BodyOf<K>
  : never;
export type VirtualService = Resource<"VirtualService">;
export type DestinationRule = Resource<"DestinationRule">;
export type Service = Resource<"Service">;
export type Pod = Resource<"Pod">;
export type Deployment = Resource<"Deployment">;
export type StatefulSet = Resource<"StatefulSet">;
export type Gateway = Resource<"Gateway">;
export type ServiceEntry = Resource<"ServiceEntry">;
export type WorkloadEntry = Resource<"WorkloadEntry">;
export type WorkloadGroup = Resource<"WorkloadGroup">;
export type Sidecar = Resource<"Sidecar">;
export type PeerAuthentication = Resource<"PeerAuthentication">;
export type AuthorizationPolicy = Resource<"AuthorizationPolicy">;
export type ProxyConfig = Resource<"ProxyConfig">;
export type Telemetry = Resource<"Telemetry">;
export type RequestAuthentication = Resource<"RequestAuthentication">;
export type EnvoyFilter = Resource<"EnvoyFilter">;
export type WasmPlugin = Resource<"WasmPlugin">;
export type LocalRuntime = Resource<"LocalRuntime">;
export type ConfigMap = Resource<"ConfigMap">;
export type GatewayClass = Resource<"GatewayClass">;
export type KubernetesGateway = Resource<"KubernetesGateway">;
export type HTTPRoute = Resource<"HTTPRoute">;
export type GRPCRoute = Resource<"GRPCRoute">;
export type TLSRoute = Resource<"TLSRoute">;
export type TCPRoute = Resource<"TCPRoute">;
export type ReferenceGrant = Resource<"ReferenceGrant">;
export type BackendTLSPolicy = Resource<"BackendTLSPolicy">;
export type Ingress = Resource<"Ingress">;
export type IngressClass = Resource<"IngressClass">;
