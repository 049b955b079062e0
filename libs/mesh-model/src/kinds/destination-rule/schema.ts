import { s } from "../../schema/index.ts";
import { count, labels, port, workloadSelector } from "../shared.ts";

const tls = s.object({
  mode: s.oneOf(["DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"]),
  clientCertificate: s.string(),
  privateKey: s.string(),
  caCertificates: s.string(),
  credentialName: s.string(),
  subjectAltNames: s.array(s.string()),
  sni: s.string(),
  insecureSkipVerify: s.boolean(),
  caCrl: s.string(),
});

/** Entries of a hash table. */
const size = s.integer({ min: 0, max: 8_388_608 });

/** LocalityLoadBalancerSetting, of a destination rule or of the mesh. */
export const localityLbSetting = s.object({
  distribute: s.array(s.object({ from: s.string(), to: s.map(count) })),
  failover: s.array(s.object({ from: s.string(), to: s.string() })),
  failoverPriority: s.array(s.string()),
  enabled: s.boolean(),
});

/** ZoneAwareLoadBalancerSetting: the client's own zone first, as far as it can carry the load. */
export const zoneAwareLbSetting = s.object({
  enabled: s.boolean(),
  failover: s.array(s.object({ from: s.string(), to: s.string() })),
  failoverPriority: s.array(s.string()),
  minClusterSize: count,
});

const loadBalancer = s.object({
  simple: s.oneOf(["UNSPECIFIED", "LEAST_REQUEST", "RANDOM", "ROUND_ROBIN", "PASSTHROUGH"], {
    LEAST_CONN: "LEAST_REQUEST",
  }),
  consistentHash: s.object({
    httpHeaderName: s.string(),
    httpCookie: s.object({
      name: s.required(s.string()),
      path: s.string(),
      ttl: s.duration(),
      attributes: s.array(s.object({ name: s.string(), value: s.string() })),
    }),
    useSourceIp: s.boolean(),
    httpQueryParameterName: s.string(),
    ringHash: s.object({ minimumRingSize: size }),
    maglev: s.object({ tableSize: size }),
    minimumRingSize: size,
  }),
  localityLbSetting,
  zoneAwareLbSetting,
  warmup: s.object({
    duration: s.required(s.duration()),
    minimumPercent: s.number({ min: 0, max: 100 }),
    aggression: s.number({ min: 1 }),
  }),
  warmupDurationSecs: s.duration(),
});

/** TcpKeepalive, of a destination rule or of the mesh. */
export const tcpKeepalive = s.object({ probes: count, time: s.duration(), interval: s.duration() });

export const connectionPool = s.object({
  tcp: s.object({
    maxConnections: count,
    connectTimeout: s.duration(),
    tcpKeepalive,
    maxConnectionDuration: s.duration(),
    idleTimeout: s.duration(),
  }),
  http: s.object({
    http1MaxPendingRequests: count,
    http2MaxRequests: count,
    maxRequestsPerConnection: count,
    maxRetries: count,
    idleTimeout: s.duration(),
    h2UpgradePolicy: s.oneOf(["DEFAULT", "DO_NOT_UPGRADE", "UPGRADE"]),
    useClientProtocol: s.boolean(),
    maxConcurrentStreams: count,
    http2KeepAlive: s.object({ interval: s.duration(), timeout: s.duration() }),
  }),
});

export const outlierDetection = s.object({
  consecutive5xxErrors: count,
  consecutiveErrors: count,
  consecutiveGatewayErrors: count,
  consecutiveLocalOriginFailures: count,
  splitExternalLocalOriginErrors: s.boolean(),
  interval: s.duration(),
  baseEjectionTime: s.duration(),
  maxEjectionPercent: s.integer({ min: 0, max: 100 }),
  minHealthPercent: s.integer({ min: 0, max: 100 }),
});

const policyFields = { loadBalancer, connectionPool, outlierDetection, tls };
export const trafficPolicy = s.object({
  ...policyFields,
  portLevelSettings: s.array(s.object({ port: s.object({ number: port }), ...policyFields })),
  tunnel: s.object({
    protocol: s.oneOf(["CONNECT", "POST"]),
    targetHost: s.required(s.string()),
    targetPort: s.required(port),
  }),
  proxyProtocol: s.object({ version: s.oneOf(["V1", "V2"]) }),
  retryBudget: s.object({ percent: s.number({ min: 0, max: 100 }), minRetryConcurrency: count }),
});

/** networking.istio.io DestinationRule. */
export const destinationRuleBody = s.object({
  spec: s.required(
    s.object({
      host: s.required(s.string()),
      trafficPolicy,
      subsets: s.array(s.object({ name: s.required(s.string()), labels, trafficPolicy })),
      exportTo: s.array(s.string()),
      workloadSelector,
    }),
  ),
});
