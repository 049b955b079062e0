import { type ApiObject, type Fields, isFields } from "../client/objects.ts";

/** Kinds that say what runs. */
export type RegistryKind = "Service" | "EndpointSlice" | "Pod" | "Node" | "Namespace";

/**
 * An object reduced to what the mesh reads of it, so that ten thousand of them fit into memory and a change of anything else (a probe's
 * result, a heartbeat, a time stamp) is none.
 */
export function trimmed(kind: RegistryKind, object: ApiObject): Fields {
  const { metadata } = object;
  switch (kind) {
    case "Service":
      return {
        apiVersion: "v1",
        kind,
        metadata: { ...identity(metadata), ...pick(metadata, ["labels"]), ...meshAnnotations(metadata) },
        spec: pick(object.spec, SERVICE_FIELDS),
        // Addresses of gateways between networks.
        ...(isFields(object.status) ? { status: pick(object.status, ["loadBalancer"]) } : {}),
      };
    case "EndpointSlice":
      return {
        apiVersion: "discovery.k8s.io/v1",
        kind,
        metadata: { ...identity(metadata), ...pick(metadata, ["labels"]) },
        ...pick(object, ["addressType", "ports"]),
        endpoints: each(object.endpoints, ["addresses", "conditions", "hostname", "nodeName", "zone"]),
      };
    case "Pod":
      return trimmedPod(object);
    case "Node":
      return {
        apiVersion: "v1",
        kind,
        metadata: { ...identity(metadata), labels: placeLabels(metadata.labels) },
      };
    case "Namespace":
      return {
        apiVersion: "v1",
        kind,
        metadata: { ...identity(metadata), ...pick(metadata, ["labels", "annotations"]) },
      };
  }
}

const SERVICE_FIELDS = [
  "type",
  "selector",
  "clusterIP",
  "clusterIPs",
  "ports",
  "externalName",
  "externalIPs",
  "publishNotReadyAddresses",
  "internalTrafficPolicy",
  "trafficDistribution",
];
const POD_FIELDS = ["serviceAccountName", "serviceAccount", "nodeName", "hostname", "subdomain", "hostNetwork"];

function trimmedPod({ metadata, spec, status }: ApiObject): Fields {
  const { initContainers, containers } = isFields(spec) ? spec : { initContainers: [], containers: [] };
  const sidecars = each(initContainers, ["name", "ports", "restartPolicy"]).filter(
    ({ restartPolicy }) => restartPolicy === "Always",
  );
  const conditions = isFields(status) ? each(status.conditions, ["type", "status"]) : [];
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      ...identity(metadata),
      ...pick(metadata, ["labels"]),
      ...meshAnnotations(metadata),
      ownerReferences: each(metadata.ownerReferences, ["kind", "name", "controller"]),
    },
    spec: {
      ...pick(spec, POD_FIELDS),
      containers: each(containers, ["name", "ports"]),
      ...(sidecars.length === 0 ? {} : { initContainers: sidecars }),
    },
    status: {
      ...pick(status, ["podIP", "phase"]),
      conditions: conditions.filter(({ type }) => type === "Ready"),
    },
  };
}

function identity(metadata: Fields): Fields {
  return pick(metadata, ["name", "namespace", "creationTimestamp", "deletionTimestamp"]);
}

/** Others are notes of tools, often long. */
function meshAnnotations({ annotations }: Fields): Fields {
  if (!isFields(annotations)) return {};
  const kept = Object.entries(annotations).filter(([name]) => name.includes("istio.io/"));
  return kept.length === 0 ? {} : { annotations: Object.fromEntries(kept) };
}

function placeLabels(labels: Fields | undefined): Fields {
  return Object.fromEntries(
    Object.entries(labels ?? {}).filter(([name]) => name.startsWith("topology.") || name === "istio-locality"),
  );
}

function pick(value: unknown, names: readonly string[]): Fields {
  if (!isFields(value)) return {};
  const kept: Record<string, unknown> = {};
  for (const name of names) if (value[name] !== undefined && value[name] !== null) kept[name] = value[name];
  return kept;
}

function each(list: unknown, names: readonly string[]): readonly Fields[] {
  return Array.isArray(list) ? list.map((item: unknown) => pick(item, names)) : [];
}
