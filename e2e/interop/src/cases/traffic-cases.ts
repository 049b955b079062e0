import { type Case, object, SUBSETS, to, virtualService } from "./case.ts";

const paths = ["/", "/a", "/a/b?user=ann", "/a?user=bob", "/b?x=1&user=carl", "/c"];
const users = ["ann", "bob", "carl", "dora", "emil", "fred"].map((name) => ({ "x-user": name }));
const hashed = (settings: string) =>
  object(
    "DestinationRule",
    "web",
    `  host: web\n  trafficPolicy: { loadBalancer: { consistentHash: { ${settings} } } }`,
  );
const PREFLIGHT = { "access-control-request-method": "PUT" };

/** Parts of the traffic API beyond matching and routing. */
export const trafficCases: readonly Case[] = [
  {
    name: "CORS",
    yaml:
      SUBSETS +
      virtualService(
        "web",
        `  hosts: [web]
  http:
    - match: [{ uri: { prefix: /a } }]
      corsPolicy:
        allowOrigins: [{ exact: "https://a.example" }, { regex: "https://[b-c].example" }]
        allowMethods: [GET, PUT]
        allowHeaders: [x-a, x-b]
        exposeHeaders: [x-c]
        maxAge: 24h
        allowCredentials: true
      ${to("v1")}
    - match: [{ uri: { prefix: /b } }]
      corsPolicy: { allowOrigins: [{ exact: "https://a.example" }], unmatchedPreflights: IGNORE }
      ${to("v2")}
    - ${to("v3")}`,
      ),
    requests: {
      to: ["web:80"],
      methods: ["GET", "OPTIONS", "PUT"],
      paths,
      headers: [
        {},
        { origin: "https://a.example" },
        { origin: "https://b.example" },
        { origin: "https://x.example" },
        { origin: "https://a.example", ...PREFLIGHT },
        { origin: "https://x.example", ...PREFLIGHT },
        PREFLIGHT,
      ],
    },
  },
  {
    name: "delegates",
    yaml:
      SUBSETS +
      virtualService(
        "root",
        `  hosts: [web]
  http:
    - match: [{ uri: { prefix: /a } }]
      delegate: { name: part }
      headers: { request: { set: { x-root: "1" } } }
    - ${to("v3")}`,
      ) +
      virtualService(
        "part",
        `  http:
    - match: [{ uri: { exact: /a } }]
      ${to("v1")}
    - match: [{ uri: { prefix: /c } }]
      ${to("v1")}
    - ${to("v2")}`,
      ),
    requests: { to: ["web:80"], paths },
  },
  ...(
    [
      ["a header, ring", "httpHeaderName: x-user", users],
      ["a header, maglev", "httpHeaderName: x-user, maglev: { tableSize: 1009 }", users],
      ["a larger ring", "httpHeaderName: x-user, ringHash: { minimumRingSize: 4096 }", users],
      ["a cookie", "httpCookie: { name: user }", users.map((user) => ({ cookie: `a=b; user=${user["x-user"]}` }))],
    ] as const
  ).map(([name, settings, headers]) => ({
    name: `endpoints by hash: ${name}`,
    yaml: hashed(settings),
    requests: { to: ["web:80"], paths: ["/"], headers },
  })),
  {
    name: "endpoints by hash: a query parameter",
    yaml: hashed("httpQueryParameterName: user"),
    requests: { to: ["web:80"], paths: paths.filter((path) => path.includes("user=")) },
  },
  {
    name: "connections, warm-up, localities, retry budgets",
    yaml: object(
      "DestinationRule",
      "web",
      `  host: web
  trafficPolicy:
    loadBalancer: { simple: ROUND_ROBIN, warmup: { duration: 30s, aggression: 1.5 }, localityLbSetting: { failoverPriority: [app] } }
    connectionPool: { tcp: { maxConnectionDuration: 1h, idleTimeout: 1h }, http: { useClientProtocol: true } }
    outlierDetection: { consecutive5xxErrors: 50 }
    retryBudget: { percent: 30, minRetryConcurrency: 5 }`,
    ),
    requests: { to: ["web:80"], paths },
    pool: true,
  },
  {
    name: "retries elsewhere",
    yaml:
      SUBSETS +
      virtualService(
        "web",
        `  hosts: [web]
  http:
    - retries: { attempts: 3, retryOn: "5xx", retryRemoteLocalities: true, backoff: 1ms }
      ${to("v1")}`,
      ),
    requests: { to: ["web:80"], paths },
  },
];
