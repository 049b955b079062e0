import { type DynamicMessage, type EnvoyMessages, oneof } from "./messages.ts";
import { listOf, mergePatch, type Patch, type PatchContext, patchesOf, patchList, text } from "./patch.ts";

type RouteMatch = NonNullable<Patch["match"]["routeConfiguration"]>;

/** What tells a route configuration from others. */
export interface RoutePlace {
  readonly name: string;
  readonly context: PatchContext;
  /** Port of the chain that holds it, where the name does not tell. */
  readonly port?: number | undefined;
}

/** The patches of route configurations and of what is in them that are about this one. */
export function patchesOfRoutes(place: RoutePlace, patches: readonly Patch[]): readonly Patch[] {
  return (["ROUTE_CONFIGURATION", "VIRTUAL_HOST", "HTTP_ROUTE"] as const).flatMap((applyTo) =>
    patchesOf(patches, applyTo, place.context).filter(({ match }) => isAbout(match.routeConfiguration, place)),
  );
}

/** Applies these patches to a route configuration, in place. Whether anything changed. */
export function patchRouteConfiguration(
  messages: EnvoyMessages,
  config: DynamicMessage,
  patches: readonly Patch[],
): boolean {
  const of = (applyTo: Patch["applyTo"]) => patches.filter((patch) => patch.applyTo === applyTo);
  let changed = false;
  for (const patch of of("ROUTE_CONFIGURATION")) changed = mergePatch(messages, config, patch) || changed;
  const hosts = listOf(config, "virtualHosts");
  for (const patch of of("VIRTUAL_HOST")) {
    changed =
      patchList(messages, patch, {
        list: hosts,
        selects: (host, { match }) => isHost(match.routeConfiguration?.vhost, host),
        names: () => true,
      }) || changed;
  }
  for (const host of hosts) {
    for (const patch of of("HTTP_ROUTE")) {
      if (!isHost(patch.match.routeConfiguration?.vhost, host)) continue;
      changed =
        patchList(messages, patch, {
          list: listOf(host, "routes"),
          selects: (route, { match }) => isRoute(match.routeConfiguration?.vhost?.route, route),
          names: ({ match }) => match.routeConfiguration?.vhost?.route !== undefined,
        }) || changed;
    }
  }
  return changed;
}

/** `https.443.https.gateway.namespace` names the port and the Gateway it belongs to. */
const SECURE_ROUTES = /^https\.(\d+)\.([^.]*)\.([^.]+)\.([^.]+)$/;

function isAbout(match: RouteMatch | undefined, { name, port }: RoutePlace): boolean {
  if (match === undefined) return true;
  const secure = SECURE_ROUTES.exec(name);
  if (match.name && match.name !== name) return false;
  if (match.portNumber && match.portNumber !== (port ?? portOfRoutes(name))) return false;
  if (match.portName && match.portName !== secure?.[2]) return false;
  return !match.gateway || match.gateway === (secure === null ? undefined : `${secure[4]}/${secure[3]}`);
}

/** `9080`, `host:9080`, `http.80`, `https.443.…` and `inbound|9080||` name the port they are for. */
function portOfRoutes(name: string): number | undefined {
  const found =
    /^(?:http\.)?(\d+)$/.exec(name) ??
    /:(\d+)$/.exec(name) ??
    /^inbound\|(\d+)\|/.exec(name) ??
    SECURE_ROUTES.exec(name);
  return found === null ? undefined : Number(found[1]);
}

function isHost(match: RouteMatch["vhost"], host: DynamicMessage): boolean {
  if (match?.name && match.name !== text(host, "name")) return false;
  return !match?.domainName || (host.domains as readonly string[]).includes(match.domainName);
}

const ACTIONS: Readonly<Record<string, string>> = {
  route: "ROUTE",
  redirect: "REDIRECT",
  directResponse: "DIRECT_RESPONSE",
};

function isRoute(match: NonNullable<RouteMatch["vhost"]>["route"], route: DynamicMessage): boolean {
  if (match?.name && match.name !== text(route, "name")) return false;
  const action = match?.action ?? "ANY";
  return action === "ANY" || ACTIONS[oneof(route, "action").case ?? ""] === action;
}
