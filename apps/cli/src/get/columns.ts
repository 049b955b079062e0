import type { KindName } from "@lateen/mesh-model";
import type { PlainObject } from "./object-status.ts";

/** A column that only one kind has. */
export interface Column {
  readonly header: string;
  readonly cell: (spec: Readonly<Record<string, unknown>>, object: PlainObject) => string;
}

/** kubectl's printer columns of each kind, without name and age. */
export function columnsOf(kind: KindName): readonly Column[] {
  switch (kind) {
    case "VirtualService":
      return [list("GATEWAYS", "gateways"), list("HOSTS", "hosts")];
    case "DestinationRule":
      return [field("HOST", "host"), { header: "SUBSETS", cell: (spec) => names(spec.subsets) }];
    case "Gateway":
      return [{ header: "SERVERS", cell: (spec) => servers(spec.servers) }];
    case "KubernetesGateway":
      return [
        field("CLASS", "gatewayClassName"),
        { header: "ADDRESS", cell: (_spec, object) => firstValue(record(object.status).addresses) },
        { header: "PROGRAMMED", cell: (_spec, object) => conditionOf(object, "Programmed") },
      ];
    case "HTTPRoute":
    case "GRPCRoute":
    case "TLSRoute":
      return [list("HOSTNAMES", "hostnames")];
    case "GatewayClass":
      return [field("CONTROLLER", "controllerName")];
    case "Ingress":
      return [field("CLASS", "ingressClassName"), { header: "HOSTS", cell: (spec) => hosts(spec.rules) }];
    case "ServiceEntry":
      return [list("HOSTS", "hosts"), field("LOCATION", "location"), field("RESOLUTION", "resolution")];
    case "WorkloadEntry":
      return [field("ADDRESS", "address")];
    case "Service":
      return [
        { header: "TYPE", cell: (spec) => text(spec.type) || "ClusterIP" },
        field("CLUSTER-IP", "clusterIP"),
        { header: "PORT(S)", cell: (spec) => ports(spec.ports) },
      ];
    case "Deployment":
    case "StatefulSet":
      return [{ header: "REPLICAS", cell: (spec) => String(spec.replicas ?? 1) }];
    case "PeerAuthentication":
      return [{ header: "MODE", cell: (spec) => text(record(spec.mtls).mode) }];
    case "AuthorizationPolicy":
      return [{ header: "ACTION", cell: (spec) => text(spec.action) || "ALLOW" }];
    case "ConfigMap":
    case "Secret":
      return [{ header: "DATA", cell: (_spec, object) => String(Object.keys(record(object.data)).length) }];
    default:
      return [];
  }
}

function field(header: string, name: string): Column {
  return { header, cell: (spec) => text(spec[name]) };
}

function list(header: string, name: string): Column {
  return { header, cell: (spec) => JSON.stringify(spec[name] ?? []) };
}

function firstValue(value: unknown): string {
  return text(entries(value)[0]?.value);
}

function conditionOf(object: PlainObject, type: string): string {
  return text(entries(record(object.status).conditions).find((condition) => condition.type === type)?.status);
}

function hosts(rules: unknown): string {
  return entries(rules)
    .map((rule) => text(rule.host) || "*")
    .join(",");
}

function names(value: unknown): string {
  return entries(value)
    .map((entry) => text(entry.name))
    .join(",");
}

function servers(value: unknown): string {
  return entries(value)
    .map((entry) => {
      const port = record(entry.port);
      return `${text(port.number)}/${text(port.protocol)}`;
    })
    .join(",");
}

function ports(value: unknown): string {
  return entries(value)
    .map((entry) => `${text(entry.port)}/${text(entry.protocol) || "TCP"}`)
    .join(",");
}

function entries(value: unknown): readonly Readonly<Record<string, unknown>>[] {
  return Array.isArray(value) ? value.map(record) : [];
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

function text(value: unknown): string {
  return typeof value === "string" || typeof value === "number" ? String(value) : "";
}
