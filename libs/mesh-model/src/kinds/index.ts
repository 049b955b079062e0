import type { ObjectMeta } from "../metadata.ts";
import type { Infer, ObjectNode, Schema } from "../schema/index.ts";
import type { Check } from "../validation/check.ts";
import { authorizationPolicyBody } from "./authorization-policy/schema.ts";
import { configMapBody } from "./config-map/schema.ts";
import { deploymentBody } from "./deployment/schema.ts";
import { destinationRuleBody } from "./destination-rule/schema.ts";
import { endpointSliceBody } from "./endpoint-slice/schema.ts";
import { endpointsBody } from "./endpoints/schema.ts";
import { gatewayBody } from "./gateway/schema.ts";
import { localRuntimeBody } from "./local-runtime/schema.ts";
import { namespaceBody } from "./namespace/schema.ts";
import { peerAuthenticationBody } from "./peer-authentication/schema.ts";
import { podBody } from "./pod/schema.ts";
import { secretBody } from "./secret/schema.ts";
import { serviceBody } from "./service/schema.ts";
import { serviceAccountBody } from "./service-account/schema.ts";
import { serviceEntryBody } from "./service-entry/schema.ts";
import { sidecarBody } from "./sidecar/schema.ts";
import { virtualServiceBody } from "./virtual-service/schema.ts";
import { workloadEntryBody } from "./workload-entry/schema.ts";

/** What is true of a kind besides its fields. `body` holds the fields beside apiVersion, kind and metadata. */
export interface KindDefinition<B> {
  readonly group: string;
  /** The version objects are stored under, first; the others are accepted aliases. */
  readonly versions: readonly [string, ...string[]];
  readonly plural: string;
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

function kind<B>(
  group: string,
  versions: readonly [string, ...string[]],
  plural: string,
  shortNames: readonly string[],
  body: Schema<B>,
  scope: "Namespaced" | "Cluster" = "Namespaced",
): KindDefinition<B> {
  return { group, versions, plural, shortNames, scope, body };
}

const NETWORKING = ["v1", "v1beta1", "v1alpha3"] as const;
const SECURITY = ["v1", "v1beta1"] as const;

/** Every kind Lateen knows. The one list that decoding, the CLI, and (later) CRDs and docs read. */
export const kinds = {
  Service: kind("", ["v1"], "services", ["svc"], serviceBody),
  Endpoints: kind("", ["v1"], "endpoints", ["ep"], endpointsBody),
  EndpointSlice: kind("discovery.k8s.io", ["v1", "v1beta1"], "endpointslices", [], endpointSliceBody),
  Pod: kind("", ["v1"], "pods", ["po"], podBody),
  Deployment: kind("apps", ["v1"], "deployments", ["deploy"], deploymentBody),
  ServiceAccount: kind("", ["v1"], "serviceaccounts", ["sa"], serviceAccountBody),
  Namespace: kind("", ["v1"], "namespaces", ["ns"], namespaceBody, "Cluster"),
  ConfigMap: kind("", ["v1"], "configmaps", ["cm"], configMapBody),
  Secret: kind("", ["v1"], "secrets", [], secretBody),
  VirtualService: kind("networking.istio.io", [...NETWORKING], "virtualservices", ["vs"], virtualServiceBody),
  DestinationRule: kind("networking.istio.io", [...NETWORKING], "destinationrules", ["dr"], destinationRuleBody),
  Gateway: kind("networking.istio.io", [...NETWORKING], "gateways", ["gw"], gatewayBody),
  ServiceEntry: kind("networking.istio.io", [...NETWORKING], "serviceentries", ["se"], serviceEntryBody),
  WorkloadEntry: kind("networking.istio.io", [...NETWORKING], "workloadentries", ["we"], workloadEntryBody),
  Sidecar: kind("networking.istio.io", [...NETWORKING], "sidecars", [], sidecarBody),
  PeerAuthentication: kind("security.istio.io", [...SECURITY], "peerauthentications", ["pa"], peerAuthenticationBody),
  AuthorizationPolicy: kind(
    "security.istio.io",
    [...SECURITY],
    "authorizationpolicies",
    ["ap"],
    authorizationPolicyBody,
  ),
  LocalRuntime: kind("lateen.dev", ["v1alpha1"], "localruntimes", [], localRuntimeBody),
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
export type Gateway = Resource<"Gateway">;
export type ServiceEntry = Resource<"ServiceEntry">;
export type WorkloadEntry = Resource<"WorkloadEntry">;
export type Sidecar = Resource<"Sidecar">;
export type PeerAuthentication = Resource<"PeerAuthentication">;
export type AuthorizationPolicy = Resource<"AuthorizationPolicy">;
export type LocalRuntime = Resource<"LocalRuntime">;
export type ConfigMap = Resource<"ConfigMap">;
