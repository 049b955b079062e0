import type { Gateway } from "@lateen/mesh-model";
import { Listener } from "@lateen/proto/envoy/config/listener/v3/listener";
import { RouteConfiguration } from "@lateen/proto/envoy/config/route/v3/route";
import { Secret } from "@lateen/proto/envoy/extensions/transport_sockets/tls/v3/secret";
import { annotations } from "../convert/names.ts";
import { defineQuery } from "../engine/query-engine.ts";
import { bindOf, gatewayPort } from "../lower/gateway.ts";
import type { PlacedServer } from "../lower/gateway-server.ts";
import { certificateSecrets, credentialNames, trustSecret } from "../lower/gateway-tls.ts";
import { type EncodedResource, sameMap } from "../resource.ts";
import { type NodeScope, scopeKey, type WorkloadScope } from "../scope.ts";
import { gatewaysFor } from "../world/gateways.ts";
import { servedPorts } from "../world/inbound.ts";
import { compare, serviceFor } from "../world/services.ts";
import { usesDynamicDns, visibleVirtualServices } from "../world/visibility.ts";
import { sniTargets } from "./auto-passthrough.ts";
import { accessRules, observedConfig, routeContext } from "./context.ts";
import { storedCredential } from "./credentials.ts";
import { byName, encode } from "./encode.ts";
import { withTcpMetrics } from "./tcp-metrics.ts";

type Resources = ReadonlyMap<string, EncodedResource>;

/** What a gateway proxy listens on and routes with. */
export interface GatewayResources {
  readonly listeners: Resources;
  readonly routes: Resources;
}

/** Servers that share a listener. */
interface SharedPort {
  readonly port: number;
  /** The oldest Gateway first. */
  readonly servers: readonly PlacedServer[];
}

/** Servers by the port they listen on, ascending, and by the address they are bound to. */
const placedServers = defineQuery<WorkloadScope, readonly SharedPort[]>({
  name: "placedServers",
  key: scopeKey,
  compute: (read, scope) => {
    const targets = new Map<number, number>();
    for (const { port, target } of read.ask(servedPorts, scope)) {
      if (!targets.has(port.number)) targets.set(port.number, target);
    }
    const servers = read.ask(gatewaysFor, scope).flatMap((gateway) =>
      (gateway.spec.servers ?? []).map((server) => ({
        gateway,
        server,
        listenPort: targets.get(server.port.number) ?? server.port.number,
      })),
    );
    const groups = Map.groupBy(servers, (placed) => `${placed.listenPort} ${bindOf(placed)}`);
    return [...groups.values()]
      .flatMap((group) => (group[0] === undefined ? [] : [{ port: group[0].listenPort, servers: group }]))
      .sort((a, b) => a.port - b.port || compare(bindOf(a.servers[0]), bindOf(b.servers[0])));
  },
});

/** Listeners and route configurations of a gateway proxy; empty for sidecars. */
export const gatewayResources = defineQuery<NodeScope, GatewayResources>({
  name: "gatewayResources",
  key: scopeKey,
  compute: (read, scope) => {
    const { client, workload } = scope;
    const config = observedConfig(read, workload, "CLIENT");
    const context = {
      config,
      extensions: client.extensions,
      dynamicDns: read.ask(usesDynamicDns, client),
      client,
      ...accessRules(read, workload, config),
      virtualServices: read.ask(visibleVirtualServices, client),
      service: (host: string) => serviceFor(read, host, client.namespace),
      route: routeContext(read, client),
      sniTargets: read.ask(sniTargets, scope),
    };
    const ports = read.ask(placedServers, workload).flatMap(({ port, servers }) => {
      const made = gatewayPort(port, servers, context);
      return made === undefined ? [] : [made];
    });
    return {
      listeners: byName(
        ports.map(({ listener }) =>
          encode(read, Listener, listener.name, withTcpMetrics(listener, config.metrics, client.extensions)),
        ),
      ),
      routes: byName(
        ports.flatMap(({ routes }) => routes.map((route) => encode(read, RouteConfiguration, route.name, route))),
      ),
    };
  },
  equal: (before, after) => sameMap(before.listeners, after.listeners) && sameMap(before.routes, after.routes),
});

/**
 * Certificates and roots that the servers of a gateway proxy refer to, from Secrets of the proxy's own namespace. A Secret that
 * no selected Gateway names is never given out.
 */
export const scopeSecrets = defineQuery<WorkloadScope, Resources>({
  name: "scopeSecrets",
  key: scopeKey,
  compute: (read, scope) => {
    const found: Secret[] = [];
    for (const { servers } of read.ask(placedServers, scope)) {
      for (const { gateway, server } of servers) {
        const { tls } = server;
        if (tls === undefined) continue;
        const secrets = certificateSecrets(tls);
        for (const [index, credentialName] of credentialNames(tls).entries()) {
          const stored = read.ask(storedCredential, placeOf(credentialName, gateway, scope.namespace));
          if (stored.pair !== undefined) found.push(certificate(secrets[index] ?? "", stored.pair));
          if (index === 0 && stored.trust !== undefined) found.push(trust(trustSecret(tls), stored.trust));
        }
      }
    }
    return byName(found.map((secret) => encode(read, Secret, secret.name, secret)));
  },
  equal: sameMap,
});

/** Where a credential is. Only a Gateway made of a Gateway API object, whose grants were looked at, names another namespace. */
export function placeOf(
  credentialName: string,
  gateway: Gateway,
  own: string,
): { readonly namespace: string; readonly name: string } {
  const converted = gateway.metadata.annotations?.[annotations.parents] !== undefined;
  const [, namespace, name] = /^kubernetes-gateway:\/\/([^/]+)\/(.+)$/.exec(credentialName) ?? [];
  return !converted || namespace === undefined || name === undefined
    ? { namespace: own, name: credentialName }
    : { namespace, name };
}

export function certificate(name: string, pair: { readonly chain: Buffer; readonly key: Buffer }): Secret {
  return Secret.fromPartial({
    name,
    type: {
      $case: "tlsCertificate",
      value: {
        certificateChain: { specifier: { $case: "inlineBytes", value: pair.chain } },
        privateKey: { specifier: { $case: "inlineBytes", value: pair.key } },
      },
    },
  });
}

export function trust(
  name: string,
  { roots, revoked }: { readonly roots: Buffer; readonly revoked: Buffer | undefined },
): Secret {
  return Secret.fromPartial({
    name,
    type: {
      $case: "validationContext",
      value: {
        trustedCa: { specifier: { $case: "inlineBytes", value: roots } },
        ...(revoked === undefined ? {} : { crl: { specifier: { $case: "inlineBytes", value: revoked } } }),
      },
    },
  });
}
