import {
  type AuthorizationPolicy,
  type DestinationRule,
  type Gateway,
  hostMatches,
  keyOf,
  type Resource,
  type Sidecar,
  type VirtualService,
} from "@lateen/mesh-model";
import { defineQuery, type Query, type Read } from "../engine/query-engine.ts";
import { pinsCertificates } from "../lower/gateway.ts";
import { isHttp2 } from "../lower/protocol.ts";
import { outdatedTls } from "../lower/tls.ts";
import { sameJson } from "../resource.ts";
import type { WorkloadScope } from "../scope.ts";
import { convertedRoute } from "../world/converted.ts";
import { cells } from "../world/mesh-snapshot.ts";
import { namedGateways } from "../world/networks.ts";
import { allServices, keysOf, meshConfigOf } from "../world/services.ts";
import { allVirtualServices, type BoundVirtualService } from "../world/virtual-services.ts";
import { type CompilerWarning, warningAbout } from "./compiler-warning.ts";
import { credentialWarnings } from "./credential-warnings.ts";
import { extensionWarnings, SCOPES_CELL } from "./extension-warnings.ts";
import { withheldTelemetry } from "./telemetry-warnings.ts";

/** Everything the configuration asks for that is done differently, or not at all. In the order of the objects' keys. */
export const meshWarnings: Query<"", readonly CompilerWarning[]> = defineQuery<"", readonly CompilerWarning[]>({
  name: "warnings",
  compute: (read) => [
    ...keysOf(read, "AuthorizationPolicy").flatMap((key) => policyWarnings(read, key)),
    ...read.ask(allVirtualServices, "").flatMap((bound) => opaquePorts(read, bound)),
    ...keysOf(read, "GRPCRoute").flatMap((key) => grpcAtGateways(read, key)),
    ...keysOf(read, "VirtualService").flatMap((key) => missingDelegates(read, key)),
    ...keysOf(read, "DestinationRule").flatMap((key) => withheldPolicies(read, key)),
    ...keysOf(read, "Sidecar").flatMap((key) => [...unixApplications(read, key), ...outdatedIngress(read, key)]),
    ...keysOf(read, "Gateway").flatMap((key) => withheldServers(read, key)),
    ...read
      .ask(namedGateways, "")
      .map(({ key, names }) =>
        warningAbout(
          key,
          "LTN3112",
          "status.loadBalancer",
          `gateways of networks need addresses, not ${names.join(", ")}`,
        ),
      ),
    ...extensionWarnings(read),
    ...credentialWarnings(read, (read.input(SCOPES_CELL) as readonly WorkloadScope[] | undefined) ?? []),
    ...keysOf(read, "Telemetry").flatMap((key) => withheldTelemetry(read, key)),
  ],
  equal: sameJson,
});

function policyWarnings(read: Read, key: string): readonly CompilerWarning[] {
  const policy = read.input(cells.object(key)) as AuthorizationPolicy | undefined;
  if (policy === undefined) return [];
  const found: CompilerWarning[] = [];
  const provider = policy.spec?.action === "CUSTOM" ? (policy.spec.provider?.name ?? "") : undefined;
  const known = meshConfigOf(read).extensionProviders.some(({ name, extAuthz }) => name === provider && extAuthz);
  if (provider !== undefined && !known) {
    found.push(
      warning(
        policy,
        "LTN3101",
        "spec.provider.name",
        `"${provider}" is no authorization service of extensionProviders: everything is denied instead`,
      ),
    );
  }
  return found;
}

/** HTTP rules for ports whose protocol proxies of this project carry as bytes. */
function opaquePorts(read: Read, bound: BoundVirtualService): readonly CompilerWarning[] {
  if ((bound.spec.http ?? []).length === 0 || !bound.gateways.includes("mesh")) return [];
  const object = read.input(cells.object(`VirtualService/${bound.namespace}/${bound.name}`)) as
    | VirtualService
    | undefined;
  // What was made of a route is told of the route.
  const name = object === undefined ? bound.origins[0]?.split(" ", 2).join("/") : keyOf(object);
  if (name === undefined) return [];
  return read
    .ask(allServices, "")
    .filter((service) => bound.hosts.some((host) => hostMatches(host, service.host)))
    .flatMap((service) =>
      service.ports
        .filter((port) => isHttp2(port.protocol))
        .map((port) =>
          warningAbout(
            name,
            "LTN3103",
            "spec.http",
            `port ${port.number} of ${service.host} is ${port.protocol}: proxies without HTTP/2 forward it as TCP, and these rules do not apply there`,
          ),
        ),
    );
}

/** Rules that delegate to a virtual service which is not there, or is no delegate. */
function missingDelegates(read: Read, key: string): readonly CompilerWarning[] {
  const object = read.input(cells.object(key)) as VirtualService | undefined;
  return (object?.spec.http ?? []).flatMap(({ delegate }, index) => {
    if (object === undefined || delegate === undefined) return [];
    const name = `${delegate.namespace || object.metadata.namespace}/${delegate.name ?? ""}`;
    const found = read.input(cells.object(`VirtualService/${name}`)) as VirtualService | undefined;
    if (found !== undefined && (found.spec.hosts ?? []).length === 0) return [];
    const why = found === undefined ? "does not exist" : "names hosts, so it is no delegate";
    return [warning(object, "LTN3104", `spec.http[${index}].delegate`, `${name} ${why}: this rule has no routes`)];
  });
}

/** Settings that proxies of this project cannot honour; what they cannot do is withheld from them. */
function withheldPolicies(read: Read, key: string): readonly CompilerWarning[] {
  const rule = read.input(cells.object(key)) as DestinationRule | undefined;
  if (rule === undefined) return [];
  const { trafficPolicy, subsets = [] } = rule.spec;
  const policies = [
    { policy: trafficPolicy, path: "spec.trafficPolicy" },
    ...subsets.map((subset, index) => ({
      policy: subset.trafficPolicy,
      path: `spec.subsets[${index}].trafficPolicy`,
    })),
  ];
  return policies.flatMap(({ policy, path }) => [
    ...(policy?.loadBalancer?.zoneAwareLbSetting?.enabled
      ? [
          warning(
            rule,
            "LTN3111",
            `${path}.loadBalancer.zoneAwareLbSetting`,
            "only Envoy prefers its zone by load: Lateen's proxies spread over the zones of their region",
          ),
        ]
      : []),
    ...(policy?.tunnel === undefined
      ? []
      : [
          warning(
            rule,
            "LTN3106",
            `${path}.tunnel`,
            "only Envoy tunnels connections: Lateen's proxies close those to this destination",
          ),
        ]),
  ]);
}

/** Servers that gateways of this project do otherwise than asked. */
function withheldServers(read: Read, key: string): readonly CompilerWarning[] {
  const gateway = read.input(cells.object(key)) as Gateway | undefined;
  return (gateway?.spec.servers ?? []).flatMap((server, index) => {
    if (gateway === undefined || server.tls === undefined) return [];
    const path = `spec.servers[${index}].tls`;
    return [
      ...(pinsCertificates(server)
        ? [
            warning(
              gateway,
              "LTN3107",
              path,
              "only Envoy checks client certificates by digest: Lateen's gateways do not serve this server",
            ),
          ]
        : []),
      ...(outdatedTls(server.tls) ? [warning(gateway, "LTN3107", `${path}.maxProtocolVersion`, OUTDATED)] : []),
    ];
  });
}

const OUTDATED = "only Envoy speaks TLS older than 1.2: Lateen's proxies take no connections here";

function outdatedIngress(read: Read, key: string): readonly CompilerWarning[] {
  const sidecar = read.input(cells.object(key)) as Sidecar | undefined;
  return (sidecar?.spec.ingress ?? []).flatMap(({ tls }, index) => {
    const path = `spec.ingress[${index}].tls.maxProtocolVersion`;
    return sidecar !== undefined && outdatedTls(tls) ? [warning(sidecar, "LTN3107", path, OUTDATED)] : [];
  });
}

/** Applications behind Unix sockets, which proxies of this project do not reach. */
function unixApplications(read: Read, key: string): readonly CompilerWarning[] {
  const sidecar = read.input(cells.object(key)) as Sidecar | undefined;
  return (sidecar?.spec.ingress ?? []).flatMap(({ defaultEndpoint }, index) => {
    if (sidecar === undefined || !defaultEndpoint?.startsWith("unix://")) return [];
    const path = `spec.ingress[${index}].defaultEndpoint`;
    const message = "only Envoy connects to Unix sockets: Lateen's proxies answer 503 on this port";
    return [warning(sidecar, "LTN3109", path, message)];
  });
}

/** A gRPC client speaks HTTP/2 to the gateway. */
function grpcAtGateways(read: Read, key: string): readonly CompilerWarning[] {
  const attached = read.ask(convertedRoute, key)?.parents.some(({ listeners }) => listeners.length > 0) ?? false;
  const message = "gateways without HTTP/2 cannot serve gRPC clients";
  return attached ? [warningAbout(key, "LTN3110", "spec.parentRefs", message)] : [];
}

function warning(object: Resource, code: string, path: string, message: string): CompilerWarning {
  return warningAbout(keyOf(object), code, path, message);
}
