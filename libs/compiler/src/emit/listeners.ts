import type { MeshService, MeshServicePort } from "@lateen/mesh-model";
import { Listener } from "@lateen/proto/envoy/config/listener/v3/listener";
import { defineQuery, type Read } from "../engine/query-engine.ts";
import type { ObservedConfig } from "../lower/access-log.ts";
import type { TcpPolicy } from "../lower/filters.ts";
import { boundInbound, virtualInbound } from "../lower/inbound-listener.ts";
import { WILDCARD } from "../lower/names.ts";
import type { OutboundContext } from "../lower/outbound-context.ts";
import { outboundListeners } from "../lower/outbound-listeners.ts";
import { milliseconds, policyFor } from "../lower/traffic-policy.ts";
import { virtualOutbound } from "../lower/virtual-outbound.ts";
import { type EncodedResource, sameList, sameMap } from "../resource.ts";
import { type NodeScope, type ProxyScope, scopeKey, scopePortKey, type WorkloadScope } from "../scope.ts";
import { destinationPolicy, policyClient } from "../world/destination-rules.ts";
import { destinationByHost, endpointsOnPort } from "../world/destinations.ts";
import { inboundPorts } from "../world/inbound.ts";
import { peerPolicy } from "../world/policies.ts";
import { meshConfigOf, serviceFor, settingsOf } from "../world/services.ts";
import {
  egressListeners,
  l4RulesOnPort,
  servicesOnPort,
  usesDynamicDns,
  type Visibility,
  visiblePorts,
} from "../world/visibility.ts";
import { accessRules, fallbackCluster, observedConfig } from "./context.ts";
import { byName, encode } from "./encode.ts";
import { gatewayResources } from "./gateways.ts";
import { withTcpMetrics } from "./tcp-metrics.ts";

/** The outbound listeners of one port number. */
const portListeners = defineQuery<{ readonly scope: ProxyScope; readonly port: number }, readonly EncodedResource[]>({
  name: "portListeners",
  key: scopePortKey,
  compute: (read, argument) => {
    const { scope, port } = argument;
    const config = observedConfig(read, scope, "CLIENT");
    const listeners = outboundListeners(port, read.ask(servicesOnPort, argument), {
      config,
      namespace: scope.namespace,
      labels: scope.labels,
      domain: settingsOf(read).domain,
      client: scope,
      extensions: scope.extensions,
      dynamicDns: read.ask(usesDynamicDns, scope),
      fallback: read.ask(fallbackCluster, scope),
      bind: bindOf(read.ask(egressListeners, scope)?.find((listener) => listener.port?.number === port)),
      service: (host) => serviceFor(read, host, scope.namespace),
      endpointAddresses: (service, servicePort) => readyAddresses(read, scope.namespace, service, servicePort),
      tcpPolicy: (host, servicePort, subset) => tcpPolicy(read, scope, { host, port: servicePort, subset }),
      virtualServices: read.ask(l4RulesOnPort, argument),
    });
    return listeners.map((listener) => encoded(read, scope, config, listener));
  },
  equal: sameList,
});

/** With what its Telemetry objects say of the metrics of connections. */
function encoded(
  read: Read,
  { extensions }: Pick<ProxyScope, "extensions">,
  { metrics }: ObservedConfig,
  listener: Listener,
): EncodedResource {
  return encode(read, Listener, listener.name, withTcpMetrics(listener, metrics, extensions));
}

function readyAddresses(read: Read, namespace: string, service: MeshService, port: MeshServicePort): readonly string[] {
  const destination = read.ask(destinationByHost, { host: service.host, namespace });
  if (destination === undefined) return [];
  const ready = endpointsOnPort(read, destination, port.number).filter((endpoint) => endpoint.ready);
  return [...new Set(ready.map((endpoint) => endpoint.address))];
}

/** Address of an egress listener; without one, and captured, it is where it always is. */
function bindOf(listener: NonNullable<Visibility["egress"]>[number] | undefined): OutboundContext["bind"] {
  if (listener === undefined) return undefined;
  const toPort = listener.captureMode === "NONE";
  if (!listener.bind && !toPort) return undefined;
  return { address: listener.bind || LOOPBACK, toPort };
}
const LOOPBACK = "127.0.0.1";

/** What a destination rule says of plain connections to a destination. */
function tcpPolicy(
  read: Read,
  scope: ProxyScope,
  { host, port, subset }: { readonly host: string; readonly port: number; readonly subset: string },
): TcpPolicy {
  const rule = read.ask(destinationPolicy, { host, client: policyClient(read, scope) });
  const policy = policyFor(rule, port, subset, meshConfigOf(read).defaultTrafficPolicy);
  const { idleTimeout, maxConnectionDuration } = policy.connectionPool?.tcp ?? {};
  const { tunnel } = policy;
  return {
    idleTimeoutMs: idleTimeout === undefined ? undefined : milliseconds(idleTimeout),
    maxDurationMs: maxConnectionDuration === undefined ? undefined : milliseconds(maxConnectionDuration),
    hashSourceIp: policy.loadBalancer?.consistentHash?.useSourceIp ?? false,
    tunnel:
      tunnel === undefined
        ? undefined
        : { hostname: `${tunnel.targetHost}:${tunnel.targetPort}`, post: tunnel.protocol === "POST" },
  };
}

/** Listeners for connections to others. */
export const outboundListenersOf = defineQuery<ProxyScope, readonly EncodedResource[]>({
  name: "outboundListeners",
  key: scopeKey,
  compute: (read, scope) => {
    const config = observedConfig(read, scope, "CLIENT");
    const catchAll = virtualOutbound(config, read.ask(fallbackCluster, scope));
    return [
      ...read.ask(visiblePorts, scope).flatMap((port) => read.ask(portListeners, { scope, port })),
      encoded(read, scope, config, catchAll),
    ];
  },
  equal: sameList,
});

/** Listeners for connections to the workload. */
export const inboundListeners = defineQuery<WorkloadScope, readonly EncodedResource[]>({
  name: "inboundListeners",
  key: scopeKey,
  compute: (read, scope) => {
    const config = observedConfig(read, scope, "SERVER");
    const policy = read.ask(peerPolicy, { namespace: scope.namespace, labels: scope.labels });
    const ports = read.ask(inboundPorts, scope);
    const context = {
      config,
      client: scope,
      extensions: scope.extensions,
      ...accessRules(read, scope, config),
      mode: policy.mode,
      demandedBy: scope.lateen ? policy.demandedBy : {},
    };
    return [...boundInbound(ports, context), virtualInbound(ports, context)].map((listener) =>
      encoded(read, scope, config, listener),
    );
  },
  equal: sameList,
});

/** All listeners of a proxy, as nothing patched them. */
export const plainListeners = defineQuery<NodeScope, ReadonlyMap<string, EncodedResource>>({
  name: "plainListeners",
  key: scopeKey,
  compute: (read, scope) => {
    const all =
      scope.workload.kind === "router"
        ? read.ask(gatewayResources, scope).listeners
        : byName([...read.ask(outboundListenersOf, scope.client), ...read.ask(inboundListeners, scope.workload)]);
    const { bindAddress } = scope.workload;
    return bindAddress === undefined ? all : byName([...all.values()].map((one) => boundAt(read, one, bindAddress)));
  },
  equal: sameMap,
});

/** A listener of every address, bound at one; what only takes connections handed on by another listener stays as it is. */
function boundAt(read: Read, resource: EncodedResource, bindAddress: string): EncodedResource {
  const listener = Listener.decode(resource.any.value);
  const at = listener.address?.address;
  if (listener.bindToPort === false || at?.$case !== "socketAddress" || at.value.address !== WILDCARD) return resource;
  const address = { address: { $case: "socketAddress", value: { ...at.value, address: bindAddress } } } as const;
  return encode(read, Listener, resource.name, Listener.fromPartial({ ...listener, address }));
}
