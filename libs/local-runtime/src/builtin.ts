import { egressGateway, type GatewayFlavor, ingressGateway, ROOT_NAMESPACE } from "./gateways.ts";

/** What the built-in objects depend on. */
export interface BuiltinOptions {
  /** `Kind/namespace/name` of every object that the user's own files define; those win. */
  readonly userKeys: ReadonlySet<string>;
  readonly egress: boolean;
  /** Gateways that are deployed for Gateway API Gateways. */
  readonly deployed?: readonly GatewayFlavor[];
  /** Where mixer's access-log services really listen; at least one. */
  readonly accessLogPorts: readonly number[];
}

/**
 * The objects every local mesh has besides the user's: the root namespace, the gateways' accounts and Services, and mixer's Service.
 * Mesh configuration is the user's alone. One JSON document each, separated as YAML documents are.
 */
export function builtinDocuments(options: BuiltinOptions): string {
  const objects: BuiltinObject[] = [
    { apiVersion: "v1", kind: "Namespace", metadata: { name: ROOT_NAMESPACE } },
    ...gateway(ingressGateway),
    ...(options.egress ? gateway(egressGateway) : []),
    ...(options.deployed ?? []).flatMap(gateway),
    ...mixer(options.accessLogPorts),
  ];
  return objects
    .filter((object) => !options.userKeys.has(keyOf(object)))
    .map((object) => `---\n${JSON.stringify(object, null, 2)}\n`)
    .join("");
}

interface BuiltinObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
  };
  readonly [field: string]: unknown;
}

function keyOf(object: BuiltinObject): string {
  return `${object.kind}/${object.metadata.namespace ?? ""}/${object.metadata.name}`;
}

function meta(
  name: string,
  labels?: Readonly<Record<string, string>>,
  namespace = ROOT_NAMESPACE,
): BuiltinObject["metadata"] {
  return { name, namespace, ...(labels === undefined ? {} : { labels }) };
}

function gateway(flavor: GatewayFlavor): BuiltinObject[] {
  return [
    { apiVersion: "v1", kind: "ServiceAccount", metadata: meta(flavor.serviceAccount, undefined, flavor.namespace) },
    {
      apiVersion: "v1",
      kind: "Service",
      metadata: meta(flavor.name, flavor.labels, flavor.namespace),
      spec: { selector: flavor.labels, ports: flavor.ports.map((port) => ({ ...port, protocol: "TCP" })) },
    },
  ];
}

/**
 * A Service without selector: its endpoints are the control plane's own listeners. They ask for an identity, so proxies that send access logs
 * or ask about rate limits come with theirs.
 */
function mixer(accessLogPorts: readonly number[]): BuiltinObject[] {
  const port = { name: "grpc-als", port: 9091, protocol: "TCP" };
  return [
    {
      apiVersion: "v1",
      kind: "Service",
      metadata: meta("istio-mixer"),
      spec: { ports: [{ ...port, targetPort: accessLogPorts[0] }] },
    },
    {
      apiVersion: "v1",
      kind: "Endpoints",
      metadata: meta("istio-mixer"),
      subsets: accessLogPorts.map((own) => ({ addresses: [{ ip: "127.0.0.1" }], ports: [{ ...port, port: own }] })),
    },
    {
      apiVersion: "networking.istio.io/v1",
      kind: "DestinationRule",
      metadata: meta("istio-mixer"),
      spec: {
        host: `istio-mixer.${ROOT_NAMESPACE}.svc.cluster.local`,
        trafficPolicy: { tls: { mode: "ISTIO_MUTUAL" } },
      },
    },
  ];
}
