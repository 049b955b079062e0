import { protocolOf, type Service } from "@lateen/mesh-model";
import type { AddressPool } from "../net/addresses.ts";

/** A listener that the sidecar opens for one service port, so that a client that knows no proxy can reach it. */
export interface ServiceListener {
  readonly address: string;
  readonly port: number;
  readonly host: string;
  readonly destinationPort: number;
}

/** The services of one pod: what its sidecar listens for, and what its application is told. */
export interface ServiceLinks {
  readonly listeners: readonly ServiceListener[];
  readonly environment: ReadonlyMap<string, string>;
  /** Addresses to give back when the pod ends. */
  readonly addresses: readonly string[];
  /** `host:port` of a service port, by `NAME` or `NAME.NAMESPACE`. */
  readonly find: (name: string, port: number) => string | undefined;
}

/**
 * Links a pod to services. Every service with a port that an HTTP proxy cannot serve gets listeners on an address of its own choice, one per port,
 * at the canonical port number; services whose port numbers do not clash share an address. So does any service that the pod's
 * runtime rules name in `${service:NAME:PORT}`. Services of the pod's namespace are told in `<SVC>_SERVICE_HOST/_PORT`,
 * those without listeners with their ClusterIP, as Kubernetes does.
 */
export function linkServices(
  services: readonly Service[],
  pod: { readonly namespace: string; readonly domain: string; readonly named: ReadonlySet<string> },
  pool: AddressPool,
): ServiceLinks {
  const listeners: ServiceListener[] = [];
  const environment = new Map<string, string>();
  const slots: { readonly address: string; readonly ports: Set<number> }[] = [];
  const reachable = new Map<string, string>();
  const sorted = [...services].sort((a, b) => keyOf(a).localeCompare(keyOf(b)));
  for (const service of sorted) {
    const { name, namespace } = service.metadata;
    const ports = (service.spec.ports ?? []).filter((port) => (port.protocol ?? "TCP") === "TCP");
    if (ports.length === 0 || service.spec.type === "ExternalName") continue;
    const names = namespace === pod.namespace ? [name, `${name}.${namespace}`] : [`${name}.${namespace}`];
    const wanted = ports.some((port) => !isProxied(port)) || names.some((alias) => pod.named.has(alias));
    let host = service.spec.clusterIP;
    if (wanted) {
      host = slotFor(
        slots,
        ports.map((port) => port.port),
        pool,
      );
      for (const { port } of ports) {
        listeners.push({ address: host, port, host: `${name}.${namespace}.svc.${pod.domain}`, destinationPort: port });
        for (const alias of [...names, `${name}.${namespace}.svc`, `${name}.${namespace}.svc.${pod.domain}`]) {
          reachable.set(`${alias}:${port}`, `${host}:${port}`);
        }
      }
    }
    if (namespace === pod.namespace && host !== undefined && host !== "" && host !== "None") {
      tellService(environment, name, host, ports);
    }
  }
  return {
    listeners,
    environment,
    addresses: slots.map((slot) => slot.address),
    find: (name, port) => reachable.get(`${name}:${port}`),
  };
}

/**
 * The same for a pod whose connections are captured whatever their destination: services are reached by name, and told as in
 * Kubernetes by ClusterIP.
 */
export function servicesByName(
  services: readonly Service[],
  pod: { readonly namespace: string; readonly domain: string },
): ServiceLinks {
  const environment = new Map<string, string>();
  const reachable = new Map<string, string>();
  for (const { metadata, spec } of [...services].sort((a, b) => keyOf(a).localeCompare(keyOf(b)))) {
    const { name, namespace } = metadata;
    const fqdn = `${name}.${namespace}.svc.${pod.domain}`;
    const ports = (spec.ports ?? []).filter((port) => (port.protocol ?? "TCP") === "TCP");
    const own = namespace === pod.namespace ? [name] : [];
    for (const { port } of ports) {
      for (const alias of [...own, `${name}.${namespace}`, `${name}.${namespace}.svc`, fqdn]) {
        reachable.set(`${alias}:${port}`, `${fqdn}:${port}`);
      }
    }
    const { clusterIP = "" } = spec;
    if (own.length > 0 && ports.length > 0 && clusterIP !== "" && clusterIP !== "None") {
      tellService(environment, name, clusterIP, ports);
    }
  }
  return { listeners: [], environment, addresses: [], find: (name, port) => reachable.get(`${name}:${port}`) };
}

function keyOf(service: Service): string {
  return `${service.metadata.namespace}/${service.metadata.name}`;
}

/** Whether clients reach the port through the explicit HTTP proxy: everything but TCP, and HTTP/2, whose clients know no proxy. */
function isProxied(port: { readonly name?: string; readonly appProtocol?: string; readonly port: number }): boolean {
  switch (protocolOf(port.name, port.appProtocol, port.port)) {
    case "HTTP":
    case "HTTP_PROXY":
    case "GRPCWeb":
    case "HTTPS":
    case "TLS":
    // An unnamed port is sniffed; as long as nothing says TCP the proxy serves it.
    case "Auto":
      return true;
    default:
      return false;
  }
}

/** The first address of the pod on which none of the ports is used yet. */
function slotFor(
  slots: { readonly address: string; readonly ports: Set<number> }[],
  ports: readonly number[],
  pool: AddressPool,
): string {
  let slot = slots.find((candidate) => ports.every((port) => !candidate.ports.has(port)));
  if (slot === undefined) {
    slot = { address: pool.take(), ports: new Set() };
    slots.push(slot);
  }
  for (const port of ports) slot.ports.add(port);
  return slot.address;
}

function tellService(
  environment: Map<string, string>,
  name: string,
  host: string,
  ports: readonly { readonly port: number; readonly name?: string }[],
): void {
  const prefix = name.toUpperCase().replaceAll(/[^A-Z0-9]/g, "_");
  environment.set(`${prefix}_SERVICE_HOST`, host);
  environment.set(`${prefix}_SERVICE_PORT`, String(ports[0]?.port ?? 0));
  for (const port of ports) {
    if (port.name === undefined) continue;
    environment.set(
      `${prefix}_SERVICE_PORT_${port.name.toUpperCase().replaceAll(/[^A-Z0-9]/g, "_")}`,
      String(port.port),
    );
  }
}

/** The `NAME` of every `${service:NAME:PORT}` in some texts. */
export function namedServices(texts: Iterable<string>): ReadonlySet<string> {
  return new Set(referencesIn(texts).map(({ name }) => name));
}

/** The first `NAME:PORT` of some texts that no service has, seen from a namespace; undefined when all are there. */
export function missingService(
  texts: Iterable<string>,
  namespace: string,
  services: readonly Service[],
): string | undefined {
  const missing = referencesIn(texts).find(({ name, port }) => {
    const [own, ownNamespace = namespace] = name.split(".");
    return !services.some(
      ({ metadata, spec }) =>
        metadata.name === own &&
        metadata.namespace === ownNamespace &&
        (spec.ports ?? []).some((candidate) => candidate.port === port),
    );
  });
  return missing && `${missing.name}:${missing.port}`;
}

function referencesIn(texts: Iterable<string>): readonly { readonly name: string; readonly port: number }[] {
  return [...texts].flatMap((text) =>
    [...text.matchAll(/\$\{service:([^:}]+):(\d+)\}/g)].map(([, name = "", port]) => ({ name, port: Number(port) })),
  );
}
