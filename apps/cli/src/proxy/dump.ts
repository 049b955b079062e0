/** Envoy's config dump as far as the tables need it; names in lowerCamelCase. */
export interface Dump {
  readonly bootstrap: unknown;
  readonly clusters: readonly Json[];
  readonly listeners: readonly Json[];
  readonly routes: readonly Json[];
  readonly endpoints: readonly Json[];
  readonly secrets: readonly Json[];
}

export type Json = Readonly<Record<string, unknown>>;

/** Reads the answer of `/config_dump?include_eds`, in either of the two spellings that proto JSON has. */
export function parseDump(answer: unknown): Dump {
  const sections = new Map<string, Json>();
  for (const config of list(record(answer).configs)) {
    const section = record(camelKeys(config));
    const type = text(section["@type"]);
    sections.set(type.slice(type.lastIndexOf(".") + 1), section);
  }
  const section = (name: string) => sections.get(name) ?? {};
  const clusters = section("ClustersConfigDump");
  const listeners = section("ListenersConfigDump");
  const routes = section("RoutesConfigDump");
  const endpoints = section("EndpointsConfigDump");
  const secrets = section("SecretsConfigDump");
  return {
    bootstrap: section("BootstrapConfigDump").bootstrap ?? {},
    clusters: parts(clusters, ["staticClusters", "dynamicActiveClusters", "dynamicWarmingClusters"], "cluster"),
    listeners: [
      ...parts(listeners, ["staticListeners"], "listener"),
      ...list(listeners.dynamicListeners).flatMap((entry) => {
        const { activeState, warmingState } = record(entry);
        const state = record(activeState ?? warmingState);
        return state.listener === undefined ? [] : [record(state.listener)];
      }),
    ],
    routes: parts(routes, ["staticRouteConfigs", "dynamicRouteConfigs"], "routeConfig"),
    endpoints: parts(endpoints, ["staticEndpointConfigs", "dynamicEndpointConfigs"], "endpointConfig"),
    secrets: ["staticSecrets", "dynamicActiveSecrets", "dynamicWarmingSecrets"].flatMap((field) =>
      list(secrets[field]).map(record),
    ),
  };
}

function parts(section: Json, fields: readonly string[], inner: string): readonly Json[] {
  return fields.flatMap((field) =>
    list(section[field]).flatMap((entry) => {
      const value = record(entry)[inner];
      return value === undefined ? [] : [record(value)];
    }),
  );
}

function camelKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(camelKeys);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [
      // Keys of maps are names, with dots or bars in them; fields are plain words.
      /^[a-z0-9_]+$/.test(key) ? key.replaceAll(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase()) : key,
      camelKeys(inner),
    ]),
  );
}

/** An object, or an empty one. */
export function record(value: unknown): Json {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Json) : {};
}

/** A list, or an empty one. */
export function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** A string or number as text, else empty. */
export function text(value: unknown): string {
  return typeof value === "string" || typeof value === "number" ? String(value) : "";
}

/** Follows a path of field names. */
export function at(value: unknown, ...path: readonly string[]): unknown {
  return path.reduce<unknown>((inner, name) => record(inner)[name], value);
}
