import { s } from "../../schema/index.ts";
import { LATER, workloadSelector } from "../shared.ts";
import { targetReference } from "../targets.ts";

/** What an EnvoyFilter may patch. */
export const APPLY_TO = [
  "LISTENER",
  "FILTER_CHAIN",
  "NETWORK_FILTER",
  "HTTP_FILTER",
  "ROUTE_CONFIGURATION",
  "VIRTUAL_HOST",
  "HTTP_ROUTE",
  "CLUSTER",
  "EXTENSION_CONFIG",
  "LISTENER_FILTER",
  "BOOTSTRAP",
] as const;

export const PATCH_OPERATIONS = [
  "MERGE",
  "MERGE_AND_REPLACE_LIST",
  "ADD",
  "REMOVE",
  "INSERT_BEFORE",
  "INSERT_AFTER",
  "INSERT_FIRST",
  "REPLACE",
] as const;

const portNumber = s.integer({ min: 0, max: 65535 });
const match = s.object({
  context: s.oneOf(["ANY", "SIDECAR_INBOUND", "SIDECAR_OUTBOUND", "GATEWAY", "WAYPOINT"]),
  proxy: s.object({ proxyVersion: s.string(), metadata: s.map(s.string()) }),
  listener: s.object({
    portNumber,
    portName: s.unsupported(s.string(), "Istio never implemented it; use portNumber"),
    filterChain: s.object({
      name: s.string(),
      sni: s.string(),
      transportProtocol: s.string(),
      applicationProtocols: s.string(),
      destinationPort: portNumber,
      filter: s.object({ name: s.string(), subFilter: s.object({ name: s.string() }) }),
    }),
    listenerFilter: s.string(),
    name: s.string(),
  }),
  routeConfiguration: s.object({
    portNumber,
    portName: s.string(),
    gateway: s.string(),
    vhost: s.object({
      name: s.string(),
      domainName: s.string(),
      route: s.object({
        name: s.string(),
        action: s.oneOf(["ANY", "ROUTE", "REDIRECT", "DIRECT_RESPONSE"]),
      }),
    }),
    name: s.string(),
  }),
  cluster: s.object({ portNumber, service: s.string(), subset: s.string(), name: s.string() }),
  waypoint: s.unsupported(s.any(), LATER),
});

/** networking.istio.io EnvoyFilter. */
export const envoyFilterBody = s.object({
  spec: s.object({
    workloadSelector,
    targetRefs: s.array(targetReference),
    priority: s.integer({ min: -2_147_483_648, max: 2_147_483_647 }),
    configPatches: s.array(
      s.object({
        applyTo: s.required(s.oneOf(APPLY_TO)),
        match,
        patch: s.required(
          s.object({
            operation: s.required(s.oneOf(PATCH_OPERATIONS)),
            value: s.any(),
            filterClass: s.oneOf(["UNSPECIFIED", "AUTHN", "AUTHZ", "STATS"]),
          }),
        ),
      }),
    ),
  }),
});
