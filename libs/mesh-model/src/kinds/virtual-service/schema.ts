import { s } from "../../schema/index.ts";
import { count, destination, headers, labels, percent, port, stringMatch } from "../shared.ts";

const httpMatch = s.object({
  name: s.string(),
  uri: stringMatch,
  scheme: stringMatch,
  method: stringMatch,
  authority: stringMatch,
  headers: s.map(stringMatch),
  withoutHeaders: s.map(stringMatch),
  queryParams: s.map(stringMatch),
  ignoreUriCase: s.boolean(),
  port,
  sourceLabels: labels,
  sourceNamespace: s.string(),
  gateways: s.array(s.string()),
  statPrefix: s.string(),
});

const httpRoute = s.object({
  name: s.string(),
  match: s.array(httpMatch),
  route: s.array(s.object({ destination: s.required(destination), weight: count, headers })),
  redirect: s.object({
    uri: s.string(),
    prefixRewrite: s.string(),
    authority: s.string(),
    scheme: s.string(),
    port,
    derivePort: s.oneOf(["FROM_PROTOCOL_DEFAULT", "FROM_REQUEST_PORT"]),
    redirectCode: s.integer(),
  }),
  directResponse: s.object({
    status: s.required(s.integer()),
    body: s.object({ string: s.string(), bytes: s.string() }),
  }),
  delegate: s.object({ name: s.string(), namespace: s.string() }),
  rewrite: s.object({
    uri: s.string(),
    authority: s.string(),
    uriRegexRewrite: s.object({ match: s.string(), rewrite: s.string() }),
  }),
  timeout: s.duration(),
  retries: s.object({
    attempts: count,
    perTryTimeout: s.duration(),
    retryOn: s.string(),
    backoff: s.duration(),
    retryIgnorePreviousHosts: s.boolean(),
    retryRemoteLocalities: s.boolean(),
  }),
  fault: s.object({
    delay: s.object({
      fixedDelay: s.duration(),
      percentage: percent,
      percent: s.integer({ min: 0, max: 100 }),
      exponentialDelay: s.duration(),
    }),
    abort: s.object({
      httpStatus: s.integer(),
      grpcStatus: s.string(),
      http2Error: s.string(),
      percentage: percent,
    }),
  }),
  mirror: destination,
  mirrorPercent: s.integer({ min: 0, max: 100 }),
  mirrorPercentage: percent,
  mirrors: s.array(s.object({ destination: s.required(destination), percentage: percent })),
  corsPolicy: s.object({
    allowOrigin: s.array(s.string()),
    allowOrigins: s.array(stringMatch),
    allowMethods: s.array(s.string()),
    allowHeaders: s.array(s.string()),
    exposeHeaders: s.array(s.string()),
    maxAge: s.duration(),
    allowCredentials: s.boolean(),
    unmatchedPreflights: s.oneOf(["UNSPECIFIED", "FORWARD", "IGNORE"]),
  }),
  headers,
});

const l4Match = {
  destinationSubnets: s.array(s.string()),
  port,
  sourceLabels: labels,
  sourceNamespace: s.string(),
  gateways: s.array(s.string()),
};
const l4Route = s.array(s.object({ destination: s.required(destination), weight: count }));

/** networking.istio.io VirtualService. */
export const virtualServiceBody = s.object({
  spec: s.required(
    s.object({
      hosts: s.array(s.string()),
      gateways: s.array(s.string()),
      http: s.array(httpRoute),
      tls: s.array(
        s.object({
          match: s.required(s.array(s.object({ sniHosts: s.required(s.array(s.string())), ...l4Match }))),
          route: l4Route,
        }),
      ),
      tcp: s.array(s.object({ match: s.array(s.object({ ...l4Match, sourceSubnet: s.string() })), route: l4Route })),
      exportTo: s.array(s.string()),
    }),
  ),
});
