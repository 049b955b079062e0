import { type MeshService, type MeshServicePort, parseProtocol, type Sidecar } from "@lateen/mesh-model";
import { defineQuery } from "../engine/query-engine.ts";
import type { InboundEndpoint, InboundPort } from "../lower/inbound-listener.ts";
import { labelsMatch } from "../lower/proto.ts";
import { portClass } from "../lower/protocol.ts";
import { sameJson, sameList } from "../resource.ts";
import { scopeKey, type WorkloadScope } from "../scope.ts";
import { modeOn, type PeerPolicy, peerPolicy } from "./policies.ts";
import { servicesInNamespace } from "./services.ts";
import { sidecarFor } from "./sidecars.ts";

/** A service port together with the container port it leads to. */
export interface ServedPort {
  readonly service: MeshService;
  readonly port: MeshServicePort;
  /** Container port. */
  readonly target: number;
}

/** What the services of the namespace send to a workload, oldest service first. */
export const servedPorts = defineQuery<WorkloadScope, readonly ServedPort[]>({
  name: "servedPorts",
  key: scopeKey,
  compute: (read, scope) =>
    read
      .ask(servicesInNamespace, scope.namespace)
      .flatMap((service) => service.parts ?? [service])
      .filter((service) => service.selector !== undefined && labelsMatch(service.selector, scope.labels))
      .flatMap((service) =>
        service.ports.flatMap((port) => {
          const target = targetPort(port, scope.containerPorts);
          return target === undefined ? [] : [{ service, port, target }];
        }),
      ),
});

function targetPort(port: MeshServicePort, containerPorts: WorkloadScope["containerPorts"]): number | undefined {
  const { targetPort: target } = port;
  if (typeof target === "number") return target;
  if (/^\d+$/.test(target)) return Number(target);
  return containerPorts.find((candidate) => candidate.name === target)?.port;
}

/**
 * The container ports of a sidecar's workload that get a chain of their own: those that services lead to, as the oldest service
 * declares them, and those that a port-level mTLS mode is set for. Ascending.
 */
export const inboundPorts = defineQuery<WorkloadScope, readonly InboundPort[]>({
  name: "inboundPorts",
  key: scopeKey,
  compute: (read, scope) => {
    if (scope.kind !== "sidecar") return [];
    const policy = read.ask(peerPolicy, { namespace: scope.namespace, labels: scope.labels });
    const sidecar = sidecarFor(read, scope)?.spec;
    if (sidecar?.ingress?.length) {
      return sidecar.ingress.map((listener) =>
        ingressPort(listener, sidecar, scope, read.ask(servedPorts, scope), policy),
      );
    }
    const pool = sidecar?.inboundConnectionPool;
    const byTarget = new Map<number, ServedPort[]>();
    for (const served of read.ask(servedPorts, scope)) {
      byTarget.set(served.target, [...(byTarget.get(served.target) ?? []), served]);
    }
    for (const port of Object.keys(policy.ports).map(Number)) if (!byTarget.has(port)) byTarget.set(port, []);
    return [...byTarget]
      .sort(([a], [b]) => a - b)
      .map(([port, served]) => ({
        port,
        protocol: served[0] === undefined ? "auto" : portClass(served[0].port.protocol, scope),
        mode: modeOn(policy, port),
        services: served.map((entry) => ({ service: entry.service, servicePort: entry.port.number })),
        pool,
      }));
  },
  equal: (before, after) =>
    before.length === after.length &&
    before.every((entry, index) => {
      const other = after[index];
      return (
        other !== undefined &&
        entry.port === other.port &&
        entry.protocol === other.protocol &&
        entry.mode === other.mode &&
        sameJson([entry.ingress, entry.pool], [other.ingress, other.pool]) &&
        sameList(
          entry.services.map((item) => item.service),
          other.services.map((item) => item.service),
        ) &&
        entry.services.every((item, at) => item.servicePort === other.services[at]?.servicePort)
      );
    }),
});

type IngressSpec = NonNullable<Sidecar["spec"]["ingress"]>[number];

/** A port as a Sidecar declares it, instead of the services. */
function ingressPort(
  listener: IngressSpec,
  sidecar: Sidecar["spec"],
  scope: WorkloadScope,
  served: readonly ServedPort[],
  policy: PeerPolicy,
): InboundPort {
  const { number, protocol } = listener.port;
  const toPort = listener.captureMode === "NONE";
  return {
    port: number,
    protocol: portClass(parseProtocol(protocol) ?? "TCP", scope),
    mode: modeOn(policy, number),
    services: served
      .filter((entry) => entry.target === number || entry.port.number === number)
      .map((entry) => ({ service: entry.service, servicePort: entry.port.number })),
    ingress: {
      bind: listener.bind ? { address: listener.bind, toPort } : undefined,
      endpoint: endpointOf(listener.defaultEndpoint),
      tls: listener.tls,
    },
    pool: listener.connectionPool ?? sidecar.inboundConnectionPool,
  };
}

/** `127.0.0.1:port`, `0.0.0.0:port` (the pod's address) or `unix:///path`. */
function endpointOf(text: string | undefined): InboundEndpoint | undefined {
  if (!text) return undefined;
  if (text.startsWith("unix://")) return { kind: "unix", path: text.slice("unix://".length) };
  const colon = text.lastIndexOf(":");
  const host = text.slice(0, colon);
  return { kind: host === "0.0.0.0" || host === "[::]" ? "pod" : "loopback", port: Number(text.slice(colon + 1)) };
}
