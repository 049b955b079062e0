import { s } from "../../schema/index.ts";
import { count, LATER, labels, port, workloadSelector } from "../shared.ts";

const tls = s.object({
  mode: s.oneOf(["DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"]),
  clientCertificate: s.string(),
  privateKey: s.string(),
  caCertificates: s.string(),
  credentialName: s.unsupported(s.string(), LATER),
  subjectAltNames: s.array(s.string()),
  sni: s.string(),
  insecureSkipVerify: s.boolean(),
  caCrl: s.unsupported(s.string(), LATER),
});

const loadBalancer = s.object({
  simple: s.oneOf(["UNSPECIFIED", "LEAST_REQUEST", "RANDOM", "ROUND_ROBIN", "PASSTHROUGH"], {
    LEAST_CONN: "LEAST_REQUEST",
  }),
  consistentHash: s.unsupported(s.any(), LATER),
  localityLbSetting: s.unsupported(s.any(), LATER),
  zoneAwareLbSetting: s.unsupported(s.any(), LATER),
  warmup: s.unsupported(s.any(), LATER),
  warmupDurationSecs: s.unsupported(s.any(), LATER),
});

const connectionPool = s.object({
  tcp: s.object({
    maxConnections: count,
    connectTimeout: s.duration(),
    tcpKeepalive: s.object({ probes: count, time: s.duration(), interval: s.duration() }),
    maxConnectionDuration: s.unsupported(s.duration(), LATER),
    idleTimeout: s.duration(),
  }),
  http: s.object({
    http1MaxPendingRequests: count,
    http2MaxRequests: count,
    maxRequestsPerConnection: count,
    maxRetries: count,
    idleTimeout: s.duration(),
    h2UpgradePolicy: s.unsupported(s.string(), LATER),
    useClientProtocol: s.unsupported(s.boolean(), LATER),
    maxConcurrentStreams: s.unsupported(s.integer(), LATER),
    http2KeepAlive: s.unsupported(s.any(), LATER),
  }),
});

const outlierDetection = s.object({
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
  tunnel: s.unsupported(s.any(), LATER),
  proxyProtocol: s.unsupported(s.any(), LATER),
  retryBudget: s.unsupported(s.any(), LATER),
});

/** networking.istio.io DestinationRule. */
export const destinationRuleBody = s.object({
  spec: s.required(
    s.object({
      host: s.required(s.string()),
      trafficPolicy,
      subsets: s.array(s.object({ name: s.required(s.string()), labels, trafficPolicy })),
      exportTo: s.array(s.string()),
      workloadSelector: s.unsupported(workloadSelector, LATER),
    }),
  ),
});
