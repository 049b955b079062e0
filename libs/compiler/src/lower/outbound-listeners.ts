import type { MeshService, MeshServicePort } from "@lateen/mesh-model";
import { hostMatches } from "@lateen/mesh-model";
import { TrafficDirection } from "@lateen/proto/envoy/config/core/v3/base";
import type { Listener } from "@lateen/proto/envoy/config/listener/v3/listener";
import type { Filter, FilterChain } from "@lateen/proto/envoy/config/listener/v3/listener_components";
import { absoluteGateway, type BoundVirtualService } from "../world/virtual-services.ts";
import { type AccessLogs, accessLogs } from "./access-log.ts";
import { freshNetworks, network } from "./cidrs.ts";
import { httpConnectionManager, type TcpTarget, tcpProxy } from "./filters.ts";
import type { destinationCluster } from "./http-routes.ts";
import { l4Clusters } from "./l4-routes.ts";
import { type ChainMatch, filterChain, httpInspector, listener, tlsInspector } from "./listener-parts.ts";
import { BLACK_HOLE_CLUSTER, outboundCluster, parseOutboundCluster, WILDCARD } from "./names.ts";
import type { OutboundContext } from "./outbound-context.ts";
import { portClass } from "./protocol.ts";
import { clientMatches } from "./route-match.ts";
import { addressesOf, sniffedRouteName } from "./sniffed.ts";
import { ALPN_HTTP } from "./tls.ts";
import { catchAllProxy } from "./virtual-outbound.ts";

/** The listeners of one port number: one on the wildcard address at most, and one for each address that needs its own. */
export function outboundListeners(
  port: number,
  services: readonly MeshService[],
  context: OutboundContext,
): readonly Listener[] {
  const plan = new PortPlan(port, context);
  for (const service of services) {
    for (const candidate of service.ports) {
      if (candidate.number === port) plan.add(service, candidate);
    }
  }
  return plan.listeners();
}

/** Collects what listens on one port. The first (oldest) service wins where two cannot both be had. */
class PortPlan {
  readonly #port: number;
  readonly #context: OutboundContext;
  readonly #logs: AccessLogs;
  #wildcardHttp = false;
  #wildcardDefault: FilterChain | undefined;
  readonly #wildcardChains: FilterChain[] = [];
  readonly #serverNames = new Set<string>();
  readonly #prefixes = new Set<string>();
  readonly #byAddress = new Map<string, Listener>();

  constructor(port: number, context: OutboundContext) {
    this.#port = port;
    this.#context = context;
    this.#logs = accessLogs(context.config);
  }

  add(service: MeshService, port: MeshServicePort): void {
    // With a bind address the listener is the only one of its port, whatever the services' addresses.
    const bound = this.#context.bind !== undefined;
    const addresses = bound ? [] : addressesOf(service);
    switch (portClass(port.protocol, this.#context.client)) {
      case "http":
        this.#wildcardHttp = true;
        return;
      case "auto":
        if (addresses.length === 0) {
          this.#addAddressless(service, port);
          this.#wildcardHttp = true;
          return;
        }
        for (const address of addresses) this.#addOwn(address, () => this.#sniffed(address, service, port));
        return;
      case "tls":
        this.#addTls(service, port, addresses);
        return;
      case "tcp":
        if (addresses.length === 0 || (!bound && service.addresses.length > addresses.length))
          this.#addAddressless(service, port);
        for (const address of addresses) {
          this.#addOwn(address, () => this.#own(address, this.#tcpChains(service, port)));
        }
    }
  }

  listeners(): readonly Listener[] {
    const wildcard = this.#wildcard();
    return wildcard === undefined ? [...this.#byAddress.values()] : [wildcard, ...this.#byAddress.values()];
  }

  #addOwn(address: string, make: () => Listener): void {
    if (!this.#byAddress.has(address)) this.#byAddress.set(address, make());
  }

  #own(address: string, chains: readonly FilterChain[], sniff: "none" | "tls" | "http" = "none"): Listener {
    // Matching keeps to the most specific criterion met and does not turn back: what is for the rest must be the default chain.
    const rest = chains.length > 1 ? chains.find((chain) => chain.filterChainMatch === undefined) : undefined;
    return listener({
      address,
      port: this.#port,
      direction: TrafficDirection.OUTBOUND,
      bind: false,
      filters: sniff === "none" ? [] : sniff === "tls" ? [tlsInspector()] : [tlsInspector(), httpInspector()],
      chains: chains.filter((chain) => chain !== rest),
      ...(rest === undefined ? {} : { fallback: rest }),
      detectionTimeoutMs: this.#context.config.protocolDetectionTimeoutMs,
    });
  }

  /** HTTP when the bytes look like it, else forwarded as they are. */
  #sniffed(address: string, service: MeshService, port: MeshServicePort): Listener {
    const http = filterChain({
      name: "",
      match: { transport: "raw_buffer", alpn: ALPN_HTTP },
      filters: [this.#http(sniffedRouteName(service, port))],
    });
    return this.#own(address, [http, ...this.#tcpChains(service, port)], "http");
  }

  /** TCP without a VIP: headless pods by their addresses, CIDRs by prefix match, anything else by the port alone. */
  #addAddressless(service: MeshService, port: MeshServicePort): void {
    if (service.headless && this.#context.bind === undefined) {
      for (const address of this.#context.endpointAddresses(service, port)) {
        this.#addOwn(address, () => this.#own(address, this.#tcpChains(service, port)));
      }
      return;
    }
    const own = this.#context.bind === undefined ? service.addresses.filter((address) => address.includes("/")) : [];
    for (const { prefixes, filters } of this.#tcpTargets(service, port)) {
      const wanted = prefixes.length > 0 ? prefixes : own;
      const fresh = freshNetworks(wanted, this.#prefixes);
      if (wanted.length === 0) this.#wildcardDefault ??= filterChain({ name: "", filters });
      else if (fresh.length > 0)
        this.#wildcardChains.push(filterChain({ name: "", match: { prefixes: fresh }, filters }));
    }
  }

  /** Opaque TLS: by SNI as virtual services say, else to the service itself. */
  #addTls(service: MeshService, port: MeshServicePort, addresses: readonly string[]): void {
    const rules = this.#tlsRules(service);
    const own = filterChain({
      name: "",
      ...(addresses.length === 0 ? { match: { serverNames: [service.host] } } : {}),
      filters: [this.#direct(service, port)],
    });
    const sniff = rules.length > 0 ? "tls" : "none";
    for (const address of addresses) this.#addOwn(address, () => this.#own(address, [...rules, own], sniff));
    if (addresses.length > 0) return;
    for (const chain of service.host === "*" ? rules : [...rules, own]) {
      const names = chain.filterChainMatch?.serverNames ?? [];
      const ranges = (chain.filterChainMatch?.prefixRanges ?? []).map(
        ({ addressPrefix, prefixLen }) => `${addressPrefix}/${prefixLen}`,
      );
      const match = { sniHosts: names, destinationSubnets: ranges };
      for (const fresh of freshMatches(match, this.#serverNames)) {
        this.#wildcardChains.push(filterChain({ name: chain.name, match: fresh, filters: chain.filters }));
      }
    }
  }

  #tlsRules(service: MeshService): readonly FilterChain[] {
    const chains: FilterChain[] = [];
    /** Names and ranges that have a chain: no other may be for both. */
    const taken = new Set<string>();
    for (const bound of this.#concerning(service)) {
      for (const rule of bound.spec.tls ?? []) {
        for (const match of rule.match) {
          if (!this.#applies(match, bound)) continue;
          const filters = [this.#proxy(this.#target(rule.route ?? [], bound))];
          for (const fresh of freshMatches(match, taken)) chains.push(filterChain({ name: "", match: fresh, filters }));
        }
      }
    }
    return chains;
  }

  /** Chains of a listener that takes bytes to one service only. */
  #tcpChains(service: MeshService, port: MeshServicePort): readonly FilterChain[] {
    const seen = new Set<string>();
    return this.#tcpTargets(service, port).flatMap(({ prefixes, filters }) => {
      const fresh = freshNetworks(prefixes, seen);
      if (prefixes.length > 0 && fresh.length === 0) return [];
      return [filterChain({ name: "", ...(fresh.length > 0 ? { match: { prefixes: fresh } } : {}), filters })];
    });
  }

  /** Where bytes to a service go, by destination subnet: as the first matching TCP rule says; last, without subnets, the rest. */
  #tcpTargets(
    service: MeshService,
    port: MeshServicePort,
  ): readonly { readonly prefixes: readonly string[]; readonly filters: readonly Filter[] }[] {
    const targets: { prefixes: readonly string[]; filters: readonly Filter[] }[] = [];
    for (const bound of this.#concerning(service)) {
      for (const rule of bound.spec.tcp ?? []) {
        const matches = (rule.match ?? []).filter((match) => this.#applies(match, bound));
        if (rule.match !== undefined && rule.match.length > 0 && matches.length === 0) continue;
        const filters = [this.#proxy(this.#target(rule.route ?? [], bound))];
        const anywhere = matches.length === 0 || matches.some((match) => (match.destinationSubnets ?? []).length === 0);
        const prefixes = anywhere ? [] : matches.flatMap((match) => match.destinationSubnets ?? []);
        targets.push({ prefixes, filters });
        if (anywhere) return targets;
      }
    }
    return [...targets, { prefixes: [], filters: [this.#direct(service, port)] }];
  }

  /** Straight to the service. */
  #direct(service: MeshService, port: MeshServicePort): Filter {
    return this.#proxy(this.#treated([{ name: outboundCluster(service.host, port.number), weight: 1 }]));
  }

  #concerning(service: MeshService): readonly BoundVirtualService[] {
    return this.#context.virtualServices.filter((bound) => bound.hosts.some((host) => hostMatches(host, service.host)));
  }

  #applies(match: Parameters<typeof clientMatches>[0], bound: BoundVirtualService): boolean {
    const { namespace, labels } = this.#context;
    return clientMatches(match, { gateway: "mesh", port: this.#port, namespace, labels }, (gateway) =>
      absoluteGateway(gateway, bound.namespace),
    );
  }

  #target(
    routes: readonly { readonly destination: Parameters<typeof destinationCluster>[0]; readonly weight?: number }[],
    bound: BoundVirtualService,
  ): TcpTarget {
    return this.#treated(l4Clusters(routes, bound.namespace, { ...this.#context, port: this.#port }));
  }

  /** As the destination rule of the first cluster asks. What our own proxy cannot tunnel does not go past the tunnel. */
  #treated(clusters: TcpTarget["clusters"]): TcpTarget {
    const first = parseOutboundCluster(clusters[0]?.name ?? "");
    const policy = first === undefined ? {} : this.#context.tcpPolicy(first.host, first.port, first.subset);
    if (policy.tunnel !== undefined && this.#context.client.lateen) {
      return { clusters: [{ name: BLACK_HOLE_CLUSTER, weight: 1 }] };
    }
    return { ...policy, clusters };
  }

  #proxy(target: TcpTarget): Filter {
    return tcpProxy(target, this.#logs.tcp);
  }

  #http(routes: string): Filter {
    const { config, extensions, dynamicDns } = this.#context;
    return httpConnectionManager({
      dynamicDns,
      place: "outbound",
      statPrefix: `outbound_${WILDCARD}_${routes}`,
      routes,
      config,
      extensions,
      rbac: { deny: undefined, allow: undefined },
      accessLog: this.#logs.http,
    });
  }

  #wildcard(): Listener | undefined {
    const chains = [...this.#wildcardChains];
    const opaque = chains.length > 0 || this.#wildcardDefault !== undefined;
    if (!this.#wildcardHttp && !opaque) return undefined;
    const { config, fallback: unknown, bind } = this.#context;
    if (this.#wildcardHttp) {
      const match: ChainMatch = opaque ? { transport: "raw_buffer", alpn: ALPN_HTTP } : {};
      chains.push(filterChain({ name: "", match, filters: [this.#http(String(this.#port))] }));
    }
    const fallback = opaque
      ? (this.#wildcardDefault ??
        filterChain({ name: "PassthroughFilterChain", filters: [catchAllProxy(unknown, this.#logs)] }))
      : undefined;
    const sniffs = chains.some((chain) => (chain.filterChainMatch?.serverNames.length ?? 0) > 0);
    return listener({
      address: bind?.address ?? WILDCARD,
      port: this.#port,
      direction: TrafficDirection.OUTBOUND,
      bind: bind?.toPort ?? false,
      filters: [
        ...(sniffs || (this.#wildcardHttp && opaque) ? [tlsInspector()] : []),
        ...(this.#wildcardHttp && opaque ? [httpInspector()] : []),
      ],
      // A listener needs a chain; without any other the fallback is it.
      ...(chains.length === 0 && fallback !== undefined ? { chains: [fallback] } : { chains, fallback }),
      detectionTimeoutMs: config.protocolDetectionTimeoutMs,
    });
  }
}

/** Server names and ranges of a TLS match that are not taken yet, in as few chains as may be. */
function freshMatches(
  {
    sniHosts,
    destinationSubnets = [],
  }: { readonly sniHosts: readonly string[]; readonly destinationSubnets?: readonly string[] },
  taken: Set<string>,
): readonly ChainMatch[] {
  const ranges = freshNetworks(destinationSubnets, new Set());
  const names = [...new Set(sniHosts.map((name) => name.toLowerCase()))];
  const found = new Map<string, { readonly serverNames: readonly string[]; readonly prefixes: string[] }>();
  for (const range of ranges.length === 0 ? [undefined] : ranges) {
    const key = (name: string) => `${name} ${range === undefined ? "" : network(range)}`;
    const serverNames = names.filter((name) => !taken.has(key(name)));
    for (const name of serverNames) taken.add(key(name));
    if (serverNames.length === 0) continue;
    const match = found.get(serverNames.join()) ?? { serverNames, prefixes: [] };
    found.set(serverNames.join(), match);
    if (range !== undefined) match.prefixes.push(range);
  }
  return [...found.values()].map(({ serverNames, prefixes }) => ({
    serverNames,
    ...(prefixes.length > 0 ? { prefixes } : {}),
  }));
}
