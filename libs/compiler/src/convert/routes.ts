import { convertBackends, l4Destinations } from "./backends.ts";
import { type Condition, condition, type Problem } from "./conditions.ts";
import type { FragmentSource, RankedRule, RouteFragment, TcpRule, TlsRule } from "./fragments.ts";
import { convertHttpRules } from "./http-rules.ts";
import { CONTROLLER, createdMs, listenerGateway, parentName } from "./names.ts";
import { type Attached, attach, type ParentRef, type Route } from "./parents.ts";
import type { ConvertWorld } from "./world.ts";

/** A route as fragments of virtual services, and what became of each parent. */
export interface ConvertedRoute {
  readonly fragments: readonly RouteFragment[];
  readonly parents: readonly RouteParent[];
}

/** An entry of `status.parents`. */
export interface RouteParent {
  readonly parentRef: ParentRef;
  readonly controllerName: string;
  readonly conditions: readonly Condition[];
  /** `namespace/gateway/listener` of every listener the route is attached to. */
  readonly listeners: readonly string[];
}

interface Content {
  readonly http: readonly RankedRule[];
  /** Where connections go, for routes below HTTP. */
  readonly destinations: NonNullable<TcpRule["route"]>;
  readonly problems: readonly Problem[];
}

/** Converts a route of any kind. */
export function convertRoute(route: Route, world: ConvertWorld): ConvertedRoute {
  const content = contentOf(route, world);
  const builder = new FragmentBuilder(route, content);
  const parents = (route.spec.parentRefs ?? []).flatMap((ref): readonly RouteParent[] => {
    const attached = attach(route, ref, world);
    if (attached.outcome === "foreign") return [];
    builder.add(attached);
    const refused = attached.outcome === "refused" ? [attached] : [];
    const listeners =
      attached.outcome === "gateway"
        ? attached.attachments.map(
            ({ gateway, listener }) => `${gateway.metadata.namespace}/${gateway.metadata.name}/${listener.name}`,
          )
        : [];
    return [
      {
        parentRef: ref,
        controllerName: CONTROLLER,
        conditions: [
          condition("Accepted", "Accepted", refused),
          condition("ResolvedRefs", "ResolvedRefs", content.problems),
        ],
        listeners,
      },
    ];
  });
  return { fragments: builder.fragments, parents };
}

function contentOf(route: Route, world: ConvertWorld): Content {
  if (route.kind === "HTTPRoute" || route.kind === "GRPCRoute") {
    const { rules, problems } = convertHttpRules(route, world);
    return { http: rules, destinations: [], problems };
  }
  const from = { kind: route.kind, namespace: route.metadata.namespace };
  const refs = (route.spec.rules ?? []).flatMap(({ backendRefs }) => backendRefs ?? []);
  const backends = convertBackends(refs, from, world);
  return { http: [], destinations: l4Destinations(backends), problems: backends.problems };
}

class FragmentBuilder {
  readonly fragments: RouteFragment[] = [];
  readonly #route: Route;
  readonly #content: Content;
  readonly #source: FragmentSource;

  constructor(route: Route, content: Content) {
    this.#route = route;
    this.#content = content;
    const { namespace, name } = route.metadata;
    this.#source = { parent: parentName(route), namespace, name, created: createdMs(route) };
  }

  add(attached: Attached): void {
    switch (attached.outcome) {
      case "gateway":
        for (const { gateway, listener, hosts } of attached.attachments) {
          const { namespace, name } = gateway.metadata;
          this.#add(`${namespace}/${listenerGateway(name, listener.name)}`, hosts, ["*"], undefined);
        }
        return;
      case "mesh": {
        const { service, port } = attached;
        // A route of the service's own namespace is for all its clients, one of another namespace for the clients there.
        const consumer = service.namespace !== this.#source.namespace;
        this.#add("mesh", [service.host], consumer ? [this.#source.namespace] : ["*"], port);
        return;
      }
      case "refused":
      case "foreign":
    }
  }

  #add(gateway: string, hosts: readonly string[], exportTo: readonly string[], port: number | undefined): void {
    const { http, destinations } = this.#content;
    if (this.#route.kind === "HTTPRoute" || this.#route.kind === "GRPCRoute") {
      const ranked = port === undefined ? http : http.map((rule) => onPort(rule, port));
      for (const host of hosts) {
        this.#push({ group: `${gateway} ${host} ${exportTo.join()}`, hosts: [host], gateway, exportTo, http: ranked });
      }
      return;
    }
    if (hosts.length === 0) return;
    const at = port === undefined ? {} : { port };
    const { parent } = this.#source;
    const group = `${gateway} ${hosts.join()} ${exportTo.join()} ${parent} ${this.fragments.length}`;
    if (this.#route.kind === "TLSRoute") {
      const names = gateway === "mesh" ? (this.#route.spec.hostnames ?? []) : hosts;
      const sniHosts = names.length > 0 ? names : hosts;
      const tls: TlsRule[] = [{ match: [{ sniHosts, ...at }], route: destinations }];
      this.#push({ group, hosts: gateway === "mesh" ? sniHosts : hosts, gateway, exportTo, tls });
      return;
    }
    const tcp: TcpRule[] = [{ ...(port === undefined ? {} : { match: [at] }), route: destinations }];
    this.#push({ group, hosts, gateway, exportTo, tcp });
  }

  #push(
    part: Pick<RouteFragment, "group" | "hosts" | "exportTo"> &
      Partial<Pick<RouteFragment, "http" | "tls" | "tcp">> & { readonly gateway: string },
  ): void {
    const { gateway, ...rest } = part;
    const known = this.fragments.some(({ group }) => group === part.group);
    // Two parents may mean one place; a port of the mesh is a further rule there, not the same again.
    if (known && gateway !== "mesh") return;
    this.fragments.push({
      source: this.#source,
      index: this.fragments.length,
      semantics: "gateway",
      gateways: [gateway],
      http: [],
      tls: [],
      tcp: [],
      ...rest,
    });
  }
}

/** The rule for one port of the mesh. */
function onPort(ranked: RankedRule, port: number): RankedRule {
  const { rule } = ranked;
  return { ...ranked, rule: { ...rule, match: (rule.match ?? [{}]).map((match) => ({ ...match, port })) } };
}
