import { err, messageOf, ok, type Result } from "@lateen/kernel";
import {
  assignClusterIp,
  type Diagnostic,
  formatOrigin,
  meshConfigFromConfigMap,
  type Origin,
  type Resource,
  type ResourceKey,
} from "@lateen/mesh-model";
import type { AddressBook } from "./address-book.ts";
import { codes, problem } from "./errors.ts";

export interface AdoptContext {
  readonly key: ResourceKey;
  /** The version in force. */
  readonly current: Resource | undefined;
  readonly origin: Origin;
  readonly nowMs: number;
  readonly addresses: AddressBook;
  /** The source counts generations itself. */
  readonly countedBySource: boolean;
}

const MESH_CONFIG_NAMESPACE = "istio-system";
const MESH_CONFIG_NAME = "istio";

/**
 * Completes an object as a Kubernetes API server would when it stores it: the creation time (kept on update), a Service's cluster
 * address; and refuses what only shows beside the other objects. Fields that the server manages are dropped, so that an export
 * of a live object means the same as the object.
 */
export function adopt(candidate: Resource, context: AdoptContext): Result<Resource, readonly Diagnostic[]> {
  const metadata = completeMetadata(candidate, context);
  switch (candidate.kind) {
    case "Service":
      return adoptService({ ...candidate, metadata }, context);
    case "ConfigMap":
      return checkMeshConfig({ ...candidate, metadata }, context.origin);
    default:
      // A spread over the union of kinds loses which kind it is; the kind is not touched.
      return ok({ ...candidate, metadata } as Resource);
  }
}

function completeMetadata(candidate: Resource, context: AdoptContext): Resource["metadata"] {
  const { resourceVersion, generation, managedFields, selfLink, ...metadata } = candidate.metadata;
  const creationTimestamp =
    metadata.creationTimestamp ??
    context.current?.metadata.creationTimestamp ??
    `${new Date(context.nowMs).toISOString().slice(0, 19)}Z`;
  const counted = context.countedBySource ? generation : context.current?.metadata.generation;
  return { ...metadata, creationTimestamp, ...(counted === undefined ? {} : { generation: counted }) };
}

/**
 * An object that differs from the version in force, with its generation counted as an API server does: 1 for a new one, and one more
 * whenever its spec changes. The core group's kinds have none.
 */
export function counted(changed: Resource, current: Resource | undefined): Resource {
  if (!changed.apiVersion.includes("/")) return changed;
  const before = current?.metadata.generation ?? 0;
  const same = before > 0 && JSON.stringify(specOf(changed)) === JSON.stringify(specOf(current));
  return { ...changed, metadata: { ...changed.metadata, generation: same ? before : before + 1 } } as Resource;
}

function specOf(object: Resource | undefined): unknown {
  return object !== undefined && "spec" in object ? object.spec : undefined;
}

function adoptService(
  service: Resource<"Service">,
  context: AdoptContext,
): Result<Resource<"Service">, readonly Diagnostic[]> {
  const { spec } = service;
  if (spec.type === "ExternalName") return ok(service);
  const asked = spec.clusterIP || spec.clusterIPs?.[0];
  if (asked === "None") return ok({ ...service, spec: { ...spec, clusterIP: "None" } });
  const address = asked ? claimAddress(asked, context) : keptOrFreeAddress(context);
  if (!address.ok) return address;
  return ok({
    ...service,
    spec: {
      ...spec,
      clusterIP: address.value,
      clusterIPs: spec.clusterIPs?.length ? spec.clusterIPs : [address.value],
    },
  });
}

function claimAddress(address: string, context: AdoptContext): Result<string, readonly Diagnostic[]> {
  const holder = context.addresses.ownerOf(address);
  if (holder === undefined || holder === context.key) return ok(address);
  const diagnostic = problem(
    codes.addressTaken,
    context.origin,
    `spec.clusterIP ${address} is already the address of ${holder}`,
    "leave clusterIP out to get a free one",
  );
  return err([{ ...diagnostic, path: "spec.clusterIP" }]);
}

function keptOrFreeAddress(context: AdoptContext): Result<string, readonly Diagnostic[]> {
  const { current } = context;
  const kept = current?.kind === "Service" ? current.spec.clusterIP : undefined;
  if (kept !== undefined && kept !== "" && kept !== "None") return ok(kept);
  try {
    return ok(assignClusterIp(context.key, context.addresses.taken));
  } catch (error) {
    return err([problem(codes.noAddress, context.origin, messageOf(error))]);
  }
}

function checkMeshConfig(
  map: Resource<"ConfigMap">,
  origin: Origin,
): Result<Resource<"ConfigMap">, readonly Diagnostic[]> {
  const { name, namespace } = map.metadata;
  if (name !== MESH_CONFIG_NAME || namespace !== MESH_CONFIG_NAMESPACE) return ok(map);
  const config = meshConfigFromConfigMap(map);
  if (config.ok) return ok(map);
  return err(
    config.error.map((diagnostic) => ({
      ...diagnostic,
      origin,
      path: "data.mesh",
      message: `mesh configuration: ${diagnostic.path ? `${diagnostic.path}: ` : ""}${diagnostic.message} (${formatOrigin(diagnostic.origin)})`,
    })),
  );
}
