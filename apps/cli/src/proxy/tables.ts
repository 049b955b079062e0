import { at, type Json, list, record, text } from "./dump.ts";

/** `SERVICE FQDN, PORT, SUBSET, DIRECTION, TYPE, DESTINATION RULE` */
export interface ClusterRow {
  readonly fqdn: string;
  readonly port: string;
  readonly subset: string;
  readonly direction: string;
  readonly type: string;
  readonly rule: string;
}

/** A cluster of Istio is named `direction|port|subset|fqdn`. */
export function clusterRow(cluster: Json): ClusterRow {
  const [direction, port, subset, fqdn] = text(cluster.name).split("|");
  const type = text(cluster.type) || text(at(cluster, "clusterType", "name")) || "STATIC";
  const rule = configOf(cluster);
  if (fqdn === undefined) return { fqdn: text(cluster.name), port: "-", subset: "-", direction: "-", type, rule };
  return { fqdn, port: port || "-", subset: subset || "-", direction: direction || "-", type, rule };
}

/** `reviews.default`, out of the path of the object that configured a resource. */
export function configOf(resource: unknown): string {
  const path = text(at(resource, "metadata", "filterMetadata", "istio", "config"));
  const match = /\/namespaces\/([^/]+)\/[^/]+\/([^/]+)$/.exec(path);
  return match === null ? "" : `${match[2]}.${match[1]}`;
}

/** `ADDRESS, PORT, MATCH, DESTINATION`, one row for each filter chain. */
export function listenerRows(listener: Json): readonly (readonly string[])[] {
  const socket = record(at(listener, "address", "socketAddress"));
  const address = text(socket.address);
  const port = text(socket.portValue);
  const chains = list(listener.filterChains).map((chain) => [
    address,
    port,
    matchText(record(at(chain, "filterChainMatch"))),
    destinationOf(record(chain)),
  ]);
  const fallback = listener.defaultFilterChain;
  if (fallback !== undefined) chains.push([address, port, "ALL", destinationOf(record(fallback))]);
  return chains.length === 0 ? [[address, port, "ALL", ""]] : chains;
}

function matchText(match: Json): string {
  const parts = [
    prefixed("SNI: ", list(match.serverNames).map(text).join(",")),
    prefixed("Trans: ", text(match.transportProtocol)),
    prefixed("App: ", list(match.applicationProtocols).map(text).join(",")),
    prefixed(
      "Addr: ",
      list(match.prefixRanges)
        .map((range) => `${text(at(range, "addressPrefix"))}/${text(at(range, "prefixLen"))}`)
        .join(","),
    ),
    prefixed("Port: ", text(match.destinationPort)),
  ].filter((part) => part !== "");
  return parts.length === 0 ? "ALL" : parts.join("; ");
}

function prefixed(prefix: string, value: string): string {
  return value === "" ? "" : prefix + value;
}

/** What the last filter of a chain does, in istioctl's words. */
function destinationOf(chain: Json): string {
  const config = record(at(list(chain.filters).at(-1), "typedConfig"));
  const routeName = text(at(config, "rds", "routeConfigName"));
  if (routeName !== "") return `Route: ${routeName}`;
  const inline = config.routeConfig;
  if (inline !== undefined) return inlineText(inline);
  const cluster = text(config.cluster);
  if (cluster !== "") return cluster === "BlackHoleCluster" || !cluster.includes("|") ? cluster : `Cluster: ${cluster}`;
  const weighted = list(at(config, "weightedClusters", "clusters")).map((one) => text(at(one, "name")));
  return weighted.length === 0 ? "Non-HTTP/Non-TCP" : `Cluster: ${weighted.join(", ")}`;
}

function inlineText(route: unknown): string {
  const clusters = list(at(route, "virtualHosts")).flatMap((host) =>
    list(at(host, "routes")).map((one) => text(at(one, "route", "cluster"))),
  );
  const named = [...new Set(clusters.filter((name) => name !== ""))];
  return named.length === 0 ? `Inline Route: ${text(at(route, "name"))}` : `Cluster: ${named.join(", ")}`;
}

/** `NAME, VHOST NAME, DOMAINS, MATCH, VIRTUAL SERVICE`, one row for each route. */
export function routeRows(config: Json): readonly (readonly string[])[] {
  const name = text(config.name);
  return list(config.virtualHosts).flatMap((host) => {
    const domains = list(at(host, "domains")).map(text);
    const shown =
      domains.length > 3 ? `${domains.slice(0, 2).join(", ")} + ${domains.length - 2} more...` : domains.join(", ");
    return list(at(host, "routes")).map((route) => [
      name,
      text(at(host, "name")),
      shown,
      routeMatch(record(at(route, "match"))),
      configOf(route) ||
        (at(route, "directResponse") === undefined ? "" : String(at(route, "directResponse", "status") ?? "")),
    ]);
  });
}

function routeMatch(match: Json): string {
  const path =
    prefixed("", text(match.prefix) === "" ? "" : `${text(match.prefix)}*`) ||
    text(match.path) ||
    prefixed("", text(match.pathSeparatedPrefix) === "" ? "" : `PathPrefix:${text(match.pathSeparatedPrefix)}`) ||
    prefixed("regex ", text(at(match, "safeRegex", "regex"))) ||
    "*";
  const more = list(match.headers).length + list(match.queryParameters).length;
  return path === "/*" && more === 0 ? "/*" : more === 0 ? path : `${path} +${more} conditions`;
}

/** `ENDPOINT, STATUS, OUTLIER CHECK, CLUSTER` from `/clusters?format=json`. */
export function endpointRows(answer: unknown): readonly (readonly string[])[] {
  return list(record(answer).cluster_statuses ?? record(answer).clusterStatuses).flatMap((status) => {
    const cluster = text(at(status, "name"));
    return list(at(status, "host_statuses") ?? at(status, "hostStatuses")).map((host) => {
      const socket = record(at(host, "address", "socket_address") ?? at(host, "address", "socketAddress"));
      const health = record(at(host, "health_status") ?? at(host, "healthStatus"));
      const failed = health.failed_outlier_check === true || health.failedOutlierCheck === true;
      const word = text(health.eds_health_status ?? health.edsHealthStatus) || "HEALTHY";
      const port = text(socket.port_value ?? socket.portValue);
      return [`${text(socket.address)}:${port}`, word, failed ? "FAILED" : "OK", cluster];
    });
  });
}

/** `RESOURCE NAME, TYPE, STATUS, VALID CERT, SERIAL NUMBER, NOT AFTER, NOT BEFORE`, one row for each certificate. */
export function secretRows(secret: Json, nowMs: number): readonly (readonly string[])[] {
  const name = text(secret.name);
  const isChain = at(secret, "secret", "tlsCertificate") !== undefined;
  const facts = list(secret.facts).map(record);
  const type = isChain ? "Cert Chain" : "CA";
  if (facts.length === 0) return [[name, type, "ACTIVE", "", "", "", ""]];
  return facts.map((fact) => {
    const notAfter = text(fact.expirationTime);
    const notBefore = text(fact.validFrom);
    const valid = Date.parse(notBefore) <= nowMs && nowMs < Date.parse(notAfter);
    return [name, type, "ACTIVE", String(valid), text(fact.serialNumber), notAfter, notBefore];
  });
}
