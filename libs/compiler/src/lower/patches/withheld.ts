import { notHonoured, withoutUnhonoured } from "./honoured.ts";
import { type DynamicMessage, type EnvoyMessages, messageName, oneof, typedConfigOf } from "./messages.ts";
import { MESSAGE_OF, type Patch, text } from "./patch.ts";

/** What decides whether a proxy can run a patch. */
export interface PatchRunner {
  readonly lateen: boolean;
  /** Whether it has an extension whose configuration is of this type. */
  readonly runs: (type: string) => boolean;
}

/** What a proxy gets of a patch: all of it, or something else (undefined: nothing) and why. */
export type Suitability =
  | { readonly kind: "whole" }
  | { readonly kind: "withheld"; readonly reason: string; readonly instead: Patch | undefined };

const WHOLE: Suitability = { kind: "whole" };

/**
 * Whether a proxy gets a patch. A filter that it cannot run is withheld, for the proxy would refuse all of the listener with it; in the
 * place of one that decides on access stands one that refuses everything.
 */
export function suitability(messages: EnvoyMessages, patch: Patch, runner: PatchRunner): Suitability {
  const { applyTo, operation, value } = patch;
  if (operation === "REMOVE" || value === undefined) return WHOLE;
  switch (applyTo) {
    case "HTTP_FILTER":
    case "NETWORK_FILTER":
      return ofFilter(messages, patch, value, runner);
    case "LISTENER_FILTER": {
      const type = extensionType(messages, value);
      if (!runner.lateen && (type === undefined || runner.runs(type))) return WHOLE;
      return withheld(`cannot run the listener filter ${type ?? text(value, "name")}`);
    }
    case "EXTENSION_CONFIG": {
      if (runner.lateen) return withheld("do not ask for extension configurations");
      const type = extensionType(messages, value);
      return type === undefined || runner.runs(type) ? WHOLE : withheld(`cannot run ${type}`);
    }
    case "LISTENER":
    case "FILTER_CHAIN":
      return runner.lateen ? withheld(`take no patches of ${applyTo}`) : WHOLE;
    case "ROUTE_CONFIGURATION":
    case "VIRTUAL_HOST":
    case "HTTP_ROUTE":
    case "CLUSTER": {
      const [field] = runner.lateen ? notHonoured(messages, value) : [];
      return field === undefined ? WHOLE : withheld(`do not honour ${field || MESSAGE_OF[applyTo]}`);
    }
    case "BOOTSTRAP":
      return runner.lateen ? withheld("have no bootstrap of Envoy's") : WHOLE;
  }
}

function withheld(reason: string, instead?: Patch): Suitability {
  return { kind: "withheld", reason, instead };
}

function ofFilter(messages: EnvoyMessages, patch: Patch, value: DynamicMessage, runner: PatchRunner): Suitability {
  const type = extensionType(messages, value);
  const discovered = oneof(value, "configType").case === "configDiscovery";
  if (runner.lateen && type === MANAGER && MERGES.has(patch.operation)) return ofManager(messages, patch, value);
  const runs = type === undefined ? !runner.lateen : runner.runs(type) && !(discovered && runner.lateen);
  if (runs) return WHOLE;
  const what = type ?? text(value, "name");
  if (!decidesOnAccess(patch, type)) return withheld(`cannot run ${what}`);
  return withheld(
    `cannot run ${what}, and must not go without it: they refuse everything in its place`,
    denial(messages, patch),
  );
}

/** What is merged into a connection manager, field by field: what is not honoured is left out and named. */
function ofManager(messages: EnvoyMessages, patch: Patch, value: DynamicMessage): Suitability {
  const given = messages.copy(value);
  const any = typedConfigOf(given);
  const manager = any === undefined ? undefined : messages.unpack(any);
  if (any === undefined || manager?.$typeName !== MANAGER) return withheld(`take no patches of ${MANAGER} in a struct`);
  const gone = withoutUnhonoured(messages, manager);
  if (gone.length === 0) return WHOLE;
  messages.pack(any, manager);
  return withheld(`do not honour ${gone.join(", ")}, and get the rest`, { ...patch, value: given });
}
const MANAGER = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
const MERGES: ReadonlySet<Patch["operation"]> = new Set(["MERGE", "MERGE_AND_REPLACE_LIST"]);

/** The type of an extension's configuration; undefined when it is not said. */
function extensionType(messages: EnvoyMessages, value: DynamicMessage): string | undefined {
  const { case: kind, value: content } = oneof(value, "configType");
  if (kind === "configDiscovery") {
    const types = (content as { readonly typeUrls?: readonly string[] }).typeUrls ?? [];
    return types[0] === undefined ? undefined : messageName(types[0]);
  }
  const any = typedConfigOf(value) ?? (value.typedConfig as DynamicMessage | undefined);
  if (any === undefined) return undefined;
  const type = messageName(text(any, "typeUrl"));
  if (!TYPED_STRUCTS.has(type)) return type;
  const struct = messages.unpack(any);
  return struct === undefined ? undefined : messageName(text(struct, "typeUrl"));
}
const TYPED_STRUCTS: ReadonlySet<string> = new Set(["xds.type.v3.TypedStruct", "udpa.type.v1.TypedStruct"]);

/** Filters that let through or refuse by who asks. */
const ACCESS_TYPES: ReadonlySet<string> = new Set(
  [
    "http.rbac.v3.RBAC",
    "http.rbac.v3.RBACPerRoute",
    "http.jwt_authn.v3.JwtAuthentication",
    "http.ext_authz.v3.ExtAuthz",
    "http.oauth2.v3.OAuth2",
    "http.csrf.v3.CsrfPolicy",
    "http.basic_auth.v3.BasicAuth",
    "http.api_key_auth.v3.ApiKeyAuth",
    "http.geoip.v3.Geoip",
    "network.rbac.v3.RBAC",
    "network.ext_authz.v3.ExtAuthz",
  ].map((name) => `envoy.extensions.filters.${name}`),
);
const ACCESS_FILTERS: ReadonlySet<string> = new Set([
  "envoy.filters.http.rbac",
  "envoy.filters.http.jwt_authn",
  "envoy.filters.http.ext_authz",
  "envoy.filters.http.oauth2",
  "envoy.filters.network.rbac",
  "envoy.filters.network.ext_authz",
]);
const ACCESS_PLACES: ReadonlySet<Patch["place"]> = new Set([
  "BEFORE_AUTHN",
  "AFTER_AUTHN",
  "BEFORE_AUTHZ",
  "AFTER_AUTHZ",
]);

function decidesOnAccess(patch: Patch, type: string | undefined): boolean {
  const { filter } = patch.match.listener?.filterChain ?? {};
  const changed = patch.applyTo === "HTTP_FILTER" ? filter?.subFilter?.name : filter?.name;
  const changes = ["MERGE", "MERGE_AND_REPLACE_LIST", "REPLACE"].includes(patch.operation);
  return (
    (patch.failsOpen === undefined && ACCESS_PLACES.has(patch.place)) ||
    patch.failsOpen === false ||
    (type !== undefined && ACCESS_TYPES.has(type)) ||
    (changes && changed !== undefined && ACCESS_FILTERS.has(changed))
  );
}

/** A filter that refuses everything, where the patch would have put or changed one. */
function denial(messages: EnvoyMessages, patch: Patch): Patch | undefined {
  const http = patch.applyTo === "HTTP_FILTER";
  const everything = { any: true };
  const value = messages.parse(MESSAGE_OF[patch.applyTo], {
    name: http ? "envoy.filters.http.rbac" : "envoy.filters.network.rbac",
    typed_config: {
      "@type": `type.googleapis.com/envoy.extensions.filters.${http ? "http" : "network"}.rbac.v3.RBAC`,
      rules: { action: "DENY", policies: { withheld: { permissions: [everything], principals: [everything] } } },
      ...(http ? {} : { stat_prefix: "withheld." }),
    },
  });
  if (!value.ok) return undefined;
  const merges = MERGES.has(patch.operation);
  return { ...patch, operation: merges ? "REPLACE" : patch.operation, value: value.value };
}
