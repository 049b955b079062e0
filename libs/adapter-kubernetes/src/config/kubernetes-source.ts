import {
  DEFAULT_REVISION,
  type KindName,
  kinds,
  nameInRevision,
  RATE_LIMITS_CONFIG_MAP,
  REVISION_LABEL,
} from "@lateen/mesh-model";
import type { ConfigSource, RawDocument } from "@lateen/ports";
import type { KubernetesApi } from "../client/api.ts";
import { type ApiObject, type Fields, isFields } from "../client/objects.ts";
import { addressesOf, keyOfObject, printOf } from "../registry/kubernetes-registry.ts";
import { type FollowOptions, follow } from "../watch/follow.ts";
import type { Watched } from "../watch/reflector.ts";

export interface KubernetesSourceOptions extends FollowOptions {
  /** Namespace of the ConfigMaps `istio` (mesh configuration) and `ratelimit-config`. Default `istio-system`. */
  readonly rootNamespace?: string;
  /**
   * Whose configuration it is. Default `default`. Objects labelled with another revision are not there for it; its mesh configuration is in a ConfigMap
   * of its own (`istio-canary`), and is handed on as `istio`.
   */
  readonly revision?: string;
  /** Of these kinds only, and without the ConfigMaps. Default: all. */
  readonly kinds?: readonly KindName[];
}

/** By which everybody knows the mesh configuration. */
const MESH_CONFIG = "istio";
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
  const { rootNamespace = "istio-system", revision = DEFAULT_REVISION, kinds } = options;
  const maps = [
    configMap(rootNamespace, nameInRevision(MESH_CONFIG, revision), MESH_CONFIG),
    // One for all: the limits are of the workloads.
    configMap(rootNamespace, RATE_LIMITS_CONFIG_MAP),
  ];
  const collections = [
    ...(kinds ?? configKinds()).map((kind) => watchedKind(kind, revision)),
    ...(kinds === undefined ? maps : []),
  ];
  return {
    watch: (scope, receive) =>
      follow(api, collections, { ...options, scope }, ({ changes }) =>
        receive([...changes].map(([file, document]) => document ?? { file, text: undefined })),
      ),
  };
}

function watchedKind(kind: KindName, revision: string): Watched<RawDocument> {
  const { keyOf, convert } = documents(kind);
  return {
    addresses: addressesOf(kind),
    optional: true,
    keyOf,
    convert: (object) => (isOfAnother(object, revision) ? { outcome: "ignored" } : convert(object)),
  };
}

function isOfAnother({ metadata }: ApiObject, revision: string): boolean {
  const own = isFields(metadata.labels) ? metadata.labels[REVISION_LABEL] : undefined;
  return own !== undefined && own !== revision;
}

/** @param as under which name it is handed on; its place stays that of the object. */
function configMap(namespace: string, name: string, as: string = name): Watched<RawDocument> {
  const { keyOf, convert } = documents("ConfigMap", as);
  return {
    addresses: addressesOf("ConfigMap", namespace),
    fieldSelector: `metadata.name=${name}`,
    keyOf,
    convert,
  };
}

function documents(kind: KindName, as?: string): Pick<Watched<RawDocument>, "keyOf" | "convert"> {
  // What people are told as the place of a mistake.
  const keyOf = (object: ApiObject) => `kubernetes/${keyOfObject(kind, object)}`;
  const { group, versions, writtenAs = kind } = { writtenAs: undefined, ...kinds[kind] };
  return {
    keyOf,
    convert: (object) => {
      // Items of a list do not say what they are.
      const apiVersion = object.apiVersion ?? (group === "" ? versions[0] : `${group}/${versions[0]}`);
      const value = { apiVersion, kind: writtenAs, ...written(object, as) };
      const text = JSON.stringify(value);
      return { outcome: "kept", value: { file: keyOf(object), text, value }, print: printOf(value) };
    },
  };
}

/** What a user wrote: without the notes of the API server and its clients, which change when the object does not. */
function written(object: ApiObject, as: string = object.metadata.name): Fields {
  const { apiVersion: _apiVersion, kind: _kind, status: _status, metadata, ...rest } = object;
  const {
    managedFields: _fields,
    resourceVersion: _version,
    selfLink: _link,
    uid: _uid,
    annotations,
    ...kept
  } = metadata;
  return { metadata: { ...kept, name: as, ...withoutNotes(annotations) }, ...rest };
}

function withoutNotes(annotations: unknown): Fields {
  if (!isFields(annotations)) return {};
  const { "kubectl.kubernetes.io/last-applied-configuration": _, ...kept } = annotations;
  return Object.keys(kept).length === 0 ? {} : { annotations: kept };
}
