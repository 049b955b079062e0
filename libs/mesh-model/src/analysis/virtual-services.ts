import type { Path } from "../decode/types.ts";
import type { Gateway, Resource, VirtualService } from "../kinds/index.ts";
import type { destination as destinationSchema } from "../kinds/shared.ts";
import type { Infer } from "../schema/index.ts";
import { hostsIntersect, shortHostToFqdn } from "../services/hosts.ts";
import { append } from "./group.ts";
import type { Report } from "./types.ts";
import { type AnalysisWorld, absoluteGateway, gatewaysOfVirtualService } from "./world.ts";

type Destination = Infer<typeof destinationSchema>;

/** What virtual services refer to, and where two of them want the same host. */
export function analyzeVirtualServices(world: AnalysisWorld, report: Report): void {
  const gateways = new Map<string, Gateway>();
  for (const gateway of world.all("Gateway")) {
    gateways.set(`${gateway.metadata.namespace}/${gateway.metadata.name}`, gateway);
  }
  const virtualServices = world.all("VirtualService");
  for (const object of virtualServices) {
    for (const [path, destination] of destinationsOf(object))
      checkDestination(object, path, destination, world, report);
    checkGateways(object, gateways, report);
    checkDuplicateMatches(object, report);
  }
  checkSharedHosts(virtualServices, world, report);
}

/** Every destination of a virtual service with its place. */
export function* destinationsOf(object: VirtualService): Generator<readonly [Path, Destination]> {
  const { spec } = object;
  for (const [index, rule] of (spec.http ?? []).entries()) {
    const at = ["spec", "http", index] as const;
    for (const [number, target] of (rule.route ?? []).entries()) {
      yield [[...at, "route", number, "destination"], target.destination];
    }
    if (rule.mirror !== undefined) yield [[...at, "mirror"], rule.mirror];
    for (const [number, mirror] of (rule.mirrors ?? []).entries()) {
      yield [[...at, "mirrors", number, "destination"], mirror.destination];
    }
  }
  for (const kind of ["tls", "tcp"] as const) {
    for (const [index, rule] of (spec[kind] ?? []).entries()) {
      for (const [number, target] of (rule.route ?? []).entries()) {
        yield [["spec", kind, index, "route", number, "destination"], target.destination];
      }
    }
  }
}

function checkDestination(
  object: VirtualService,
  path: Path,
  destination: Destination,
  world: AnalysisWorld,
  report: Report,
): void {
  const { namespace } = object.metadata;
  const { host, subset } = destination;
  const services = world.servicesOf(host, namespace);
  if (services.length === 0) {
    if (world.isBuiltInHost(host, namespace)) return;
    report(
      object,
      "IST0101",
      [...path, "host"],
      `Referenced host not found: "${host}"`,
      hostHint(host, namespace, world),
    );
    return;
  }
  if (subset) {
    const rules = world.destinationRulesOf(host, namespace);
    if (!rules.some((rule) => rule.spec.subsets?.some((candidate) => candidate.name === subset))) {
      const message = `Referenced host+subset in destinationrule not found: "${host}+${subset}"`;
      report(
        object,
        "IST0101",
        [...path, "subset"],
        message,
        `define subset "${subset}" in a DestinationRule for ${host}`,
      );
    }
  }
  const ports = [...new Set(services.flatMap((service) => service.ports.map((port) => port.number)))];
  const wanted = destination.port?.number;
  if (wanted === undefined) {
    if (ports.length > 1) {
      const message = `This VirtualService routes to a service "${host}" that exposes multiple ports [${ports.join(" ")}]. Specifying a port in the destination is required to disambiguate.`;
      report(object, "IST0112", [...path, "host"], message, `add port: {number: ${ports[0]}}`);
    }
  } else if (ports.length > 0 && !ports.includes(wanted)) {
    report(
      object,
      "IST0101",
      [...path, "port", "number"],
      `Referenced host:port not found: "${host}:${wanted}"`,
      `${host} has port ${ports.join(", ")}`,
    );
  }
}

function hostHint(host: string, namespace: string, world: AnalysisWorld): string {
  if (host.includes(".")) return "declare it with a ServiceEntry, or mend the name";
  const elsewhere = [...world.namespaces].find((other) => world.servicesOf(host, other).length > 0);
  if (elsewhere === undefined) return `no Service "${host}" is in namespace ${namespace}`;
  return `Service "${host}" is in namespace ${elsewhere}: write ${shortHostToFqdn(host, elsewhere, world.domain)}`;
}

function checkGateways(object: VirtualService, gateways: ReadonlyMap<string, Gateway>, report: Report): void {
  for (const [index, name] of (object.spec.gateways ?? []).entries()) {
    if (name === "mesh") continue;
    const gateway = gateways.get(absoluteGateway(name, object.metadata.namespace));
    if (gateway === undefined) {
      report(object, "IST0101", ["spec", "gateways", index], `Referenced gateway not found: "${name}"`);
    } else if (!servesSomeHost(object, gateway)) {
      const hosts = (object.spec.hosts ?? []).join(" ");
      const message = `one or more host [${hosts}] defined in VirtualService ${object.metadata.namespace}/${object.metadata.name} not found in Gateway ${gateway.metadata.namespace}/${gateway.metadata.name}.`;
      report(object, "IST0132", ["spec", "gateways", index], message);
    }
  }
}

function servesSomeHost(object: VirtualService, gateway: Gateway): boolean {
  const served = (gateway.spec.servers ?? [])
    .flatMap((server) => server.hosts)
    .flatMap((host) => {
      const slash = host.indexOf("/");
      if (slash < 0) return [host];
      const namespace = host.slice(0, slash);
      const allowed = namespace === "." ? gateway.metadata.namespace : namespace;
      return allowed === "*" || allowed === object.metadata.namespace ? [host.slice(slash + 1)] : [];
    });
  return (object.spec.hosts ?? []).some((host) => served.some((pattern) => hostsIntersect(pattern, host)));
}

/** The same match twice: the later one never decides anything. */
function checkDuplicateMatches(object: VirtualService, report: Report): void {
  const seen = new Map<string, number>();
  for (const [index, rule] of (object.spec.http ?? []).entries()) {
    for (const [number, match] of (rule.match ?? []).entries()) {
      const { name: _name, ...condition } = match;
      const text = canonical(condition);
      const earlier = seen.get(text);
      if (earlier === undefined) seen.set(text, index);
      else {
        const message = `VirtualService rule #${index} match #${number} is not used (duplicate match in rule #${earlier}).`;
        report(object, "IST0131", ["spec", "http", index, "match", number], message);
      }
    }
  }
}

function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === "object" && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}

/** Inside the mesh one virtual service owns a host; of several the oldest wins and the others do nothing. */
function checkSharedHosts(objects: readonly VirtualService[], world: AnalysisWorld, report: Report): void {
  const owners = new Map<string, { readonly object: VirtualService; readonly index: number }[]>();
  for (const object of objects) {
    if (!gatewaysOfVirtualService(object).includes("mesh")) continue;
    for (const [index, host] of (object.spec.hosts ?? []).entries()) {
      const scope = visibility(object);
      const key = `${scope} ${shortHostToFqdn(host, object.metadata.namespace, world.domain)}`;
      append(owners, key, { object, index });
    }
  }
  for (const [key, list] of owners) {
    if (list.length < 2) continue;
    const names = list.map(({ object }) => nameOf(object)).join(",");
    const host = key.slice(key.indexOf(" ") + 1);
    const message = `The VirtualServices ${names} associated with mesh gateway define the same host ${host} which can lead to undefined behavior. This can be fixed by merging the conflicting VirtualServices into a single resource.`;
    for (const { object, index } of list) report(object, "IST0109", ["spec", "hosts", index], message);
  }
}

/** Rules that only their own namespace sees do not conflict with others elsewhere. */
function visibility(object: VirtualService): string {
  const { exportTo } = object.spec;
  const own = exportTo !== undefined && exportTo.length > 0 && exportTo.every((target) => target === ".");
  return own ? object.metadata.namespace : "*";
}

function nameOf(object: Resource): string {
  return `${object.metadata.namespace}/${object.metadata.name}`;
}
