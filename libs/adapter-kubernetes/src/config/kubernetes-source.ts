import { type KindName, kinds, RATE_LIMITS_CONFIG_MAP } from "@lateen/mesh-model";
import type { ConfigSource, RawDocument } from "@lateen/ports";
import type { KubernetesApi } from "../client/api.ts";
import { type ApiObject, type Fields, isFields } from "../client/objects.ts";
import { addressesOf, keyOfObject, printOf } from "../registry/kubernetes-registry.ts";
import { type FollowOptions, follow } from "../watch/follow.ts";
import type { Watched } from "../watch/reflector.ts";

export interface KubernetesSourceOptions extends FollowOptions {
  /** Namespace of the ConfigMaps `istio` (mesh configuration) and `ratelimit-config`. Default `istio-system`. */
  readonly rootNamespace?: string;
}

/** Mesh configuration, and limits of the rate-limit service. */
const CONFIG_MAPS = ["istio", RATE_LIMITS_CONFIG_MAP];
const GROUPS: ReadonlySet<string> = new Set([
  "networking.istio.io",
  "security.istio.io",
  "telemetry.istio.io",
  "extensions.istio.io",
  "gateway.networking.k8s.io",
  "networking.k8s.io",
]);

/** Kinds of which an API server holds configuration: Istio's, the Gateway API's, Ingress. */
export function configKinds(): readonly KindName[] {
  return (Object.keys(kinds) as KindName[]).filter((kind) => GROUPS.has(kinds[kind].group));
}

/**
 * Configuration from the API server: one document per object, the mesh configuration and rate limits included. The first delivery comes when all kinds have been
 * listed. Kinds that are not installed hold nothing until they are. What an account may not list is waited for: without, say, the
 * AuthorizationPolicies nobody knows what is forbidden.
 */
export function kubernetesConfigSource(api: KubernetesApi, options: KubernetesSourceOptions = {}): ConfigSource {
  const { rootNamespace = "istio-system" } = options;
  const maps = CONFIG_MAPS.map((name) => configMap(rootNamespace, name));
  const collections = [...configKinds().map(watchedKind), ...maps];
  return {
    watch: (scope, receive) =>
      follow(api, collections, { ...options, scope }, ({ changes }) =>
        receive([...changes].map(([file, document]) => document ?? { file, text: undefined })),
      ),
  };
}

function watchedKind(kind: KindName): Watched<RawDocument> {
  return { addresses: addressesOf(kind), optional: true, ...documents(kind) };
}

function configMap(namespace: string, name: string): Watched<RawDocument> {
  return {
    addresses: addressesOf("ConfigMap", namespace),
    fieldSelector: `metadata.name=${name}`,
    ...documents("ConfigMap"),
  };
}

function documents(kind: KindName): Pick<Watched<RawDocument>, "keyOf" | "convert"> {
  // What people are told as the place of a mistake.
  const keyOf = (object: ApiObject) => `kubernetes/${keyOfObject(kind, object)}`;
  const { group, versions, writtenAs = kind } = { writtenAs: undefined, ...kinds[kind] };
  return {
    keyOf,
    convert: (object) => {
      // Items of a list do not say what they are.
      const apiVersion = object.apiVersion ?? (group === "" ? versions[0] : `${group}/${versions[0]}`);
      const value = { apiVersion, kind: writtenAs, ...written(object) };
      const text = JSON.stringify(value);
      return { outcome: "kept", value: { file: keyOf(object), text, value }, print: printOf(value) };
    },
  };
}

/** What a user wrote: without the notes of the API server and its clients, which change when the object does not. */
function written(object: ApiObject): Fields {
  const { apiVersion: _apiVersion, kind: _kind, status: _status, metadata, ...rest } = object;
  const {
    managedFields: _fields,
    resourceVersion: _version,
    selfLink: _link,
    uid: _uid,
    annotations,
    ...kept
  } = metadata;
  return { metadata: { ...kept, ...withoutNotes(annotations) }, ...rest };
}

function withoutNotes(annotations: unknown): Fields {
  if (!isFields(annotations)) return {};
  const { "kubectl.kubernetes.io/last-applied-configuration": _, ...kept } = annotations;
  return Object.keys(kept).length === 0 ? {} : { annotations: kept };
}
