import { canonicalServiceOf, parseSpiffeId } from "@lateen/mesh-model";
import type { Node } from "@lateen/proto/envoy/config/core/v3/base";
import type { AccessLogCommon } from "@lateen/proto/envoy/data/accesslog/v3/accesslog";

export const UNKNOWN = "unknown";

/** The workload that a proxy stands before, as its node says. */
export interface Reporter {
  readonly workload: string;
  readonly namespace: string;
  readonly canonicalService: string;
  /** Its address, to tell inbound from outbound where no cluster was chosen. */
  readonly address: string;
}

/** Reads `TYPE~IP~POD.NAMESPACE~DOMAIN` and Istio's metadata keys. Missing facts are `unknown`. */
export function reporterOf(node: Node | undefined): Reporter {
  const [, address = "", podAndNamespace = ""] = (node?.id ?? "").split("~");
  const dot = podAndNamespace.lastIndexOf(".");
  const metadata = node?.metadata ?? {};
  const namespace = text(metadata.NAMESPACE) || podAndNamespace.slice(dot + 1);
  const workload = text(metadata.WORKLOAD_NAME) || podAndNamespace.slice(0, Math.max(dot, 0));
  const canonicalService = canonicalServiceOf(stringMap(metadata.LABELS), workload);
  return {
    workload: workload || UNKNOWN,
    namespace: namespace || UNKNOWN,
    canonicalService: canonicalService || UNKNOWN,
    address,
  };
}

/** Which side of the call a log entry was written on, and which service was called. */
export interface Direction {
  readonly reporter: "source" | "destination";
  /** Host from the cluster's name, or the cluster's own name for pass-through and black-hole clusters. */
  readonly service: string;
}

/** Reads the cluster name `DIRECTION|PORT|SUBSET|HOST`, then the route's name, then the address that was connected to. */
export function directionOf(common: AccessLogCommon | undefined, reporter: Reporter): Direction {
  const cluster = common?.upstreamCluster ?? "";
  const [direction, , , host] = cluster.split("|");
  if (direction === "outbound" && host) return { reporter: "source", service: host };
  if (direction === "inbound") return { reporter: "destination", service: "" };
  if (cluster.startsWith("InboundPassthroughCluster")) return { reporter: "destination", service: cluster };
  if (cluster !== "") return { reporter: "source", service: cluster };
  const route = common?.routeName ?? "";
  if (route.startsWith("inbound|") || route.startsWith("InboundPassthroughCluster")) {
    return { reporter: "destination", service: "" };
  }
  const local = common?.downstreamLocalAddress?.address;
  const toOwnAddress = local?.$case === "socketAddress" && local.value.address === reporter.address;
  return { reporter: toOwnAddress && reporter.address !== "" ? "destination" : "source", service: "" };
}

/** The caller's verified identity, from its certificate. */
export interface PeerIdentity {
  readonly principal: string;
  readonly namespace: string;
  readonly mutualTls: boolean;
}

export function peerOf(common: AccessLogCommon | undefined): PeerIdentity {
  const names = common?.tlsProperties?.peerCertificateProperties?.subjectAltName ?? [];
  const uri = names.find(({ san }) => san?.$case === "uri")?.san?.value;
  if (uri === undefined) return { principal: UNKNOWN, namespace: UNKNOWN, mutualTls: false };
  const identity = parseSpiffeId(uri);
  return { principal: uri, namespace: identity.ok ? identity.value.namespace : UNKNOWN, mutualTls: true };
}

/** `NAME` and `NAMESPACE` of `NAME.NAMESPACE.svc.DOMAIN`; the whole host where it is not a cluster host. */
export function splitServiceHost(host: string): { readonly name: string; readonly namespace: string } {
  const [name = "", namespace = "", svc] = host.split(".");
  return svc === "svc" ? { name, namespace } : { name: host || UNKNOWN, namespace: UNKNOWN };
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function stringMap(value: unknown): Readonly<Record<string, string>> {
  if (typeof value !== "object" || value === null) return {};
  return Object.fromEntries(
    Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === "string"),
  );
}
