/** Objects beside those of the shop, and calls under them, both as goldens have them. */
export interface ShopCase {
  readonly name: string;
  readonly input: string;
  readonly calls: string;
}

const object = (kind: string, name: string, spec: string, group = "networking.istio.io/v1") =>
  `---\napiVersion: ${group}\nkind: ${kind}\nmetadata: { name: ${name} }\nspec:\n${spec}\n`;
const calls = (from: string, ...requests: readonly string[]) =>
  requests.map((request) => `  - { from: ${from}, request: "${request}" }\n`).join("");
/** Bytes of one connection, as JSON text. */
const bytes = (from: string, request: string, ...texts: readonly string[]) =>
  texts.map((text) => `  - { from: ${from}, request: "${request}", bytes: ${JSON.stringify(text)} }\n`).join("");

const UNKNOWN = calls(
  "web-v1",
  "http://nowhere.example/",
  "http://nowhere.example:8081/",
  "http://192.0.2.7/",
  "https://nowhere.example/",
  "tcp://192.0.2.7:6000",
  "tcp://192.0.2.7:9080",
);
const REGISTRY_ONLY = "mesh: { outboundTrafficPolicy: { mode: REGISTRY_ONLY } }\n";

const PORTS = `  ports:
    - { number: 80, name: http, protocol: HTTP }
    - { number: 443, name: tls, protocol: TLS }
    - { number: 7001, name: tcp, protocol: TCP }`;
const entry = (name: string, resolution: string, more = "") =>
  object(
    "ServiceEntry",
    name,
    `  hosts: [${name}.example]\n${PORTS}\n  resolution: ${resolution}\n  location: MESH_EXTERNAL${more}`,
  );
const ENTRIES =
  entry("none", "NONE") +
  entry(
    "static",
    "STATIC",
    "\n  addresses: [198.51.100.9]\n  endpoints: [{ address: 192.0.2.30, ports: { http: 8080 } }]",
  ) +
  entry("empty", "STATIC", "\n  addresses: [198.51.100.10]") +
  entry("dns", "DNS", "\n  endpoints: [{ address: real.example, ports: { http: 8080 } }]") +
  entry("byname", "DNS") +
  entry("robin", "DNS_ROUND_ROBIN") +
  object(
    "ServiceEntry",
    "wild",
    '  hosts: ["*.wild.example"]\n  ports: [{ number: 80, name: http, protocol: HTTP }]\n  resolution: DYNAMIC_DNS\n  location: MESH_EXTERNAL',
  );
const HOSTS = ["none", "static", "empty", "dns", "byname", "robin", "a.wild", "wild", "unknown"];
const TO_ENTRIES = calls(
  "web-v1",
  ...HOSTS.map((host) => `http://${host}.example/`),
  ...["none", "static", "dns", "byname", "robin", "unknown"].map((host) => `https://${host}.example/`),
  "tcp://198.51.100.9:7001",
  "tcp://198.51.100.10:7001",
);

const EDGE =
  object(
    "Gateway",
    "edge",
    '  selector: { istio: ingressgateway }\n  servers: [{ port: { number: 80, name: http, protocol: HTTP }, hosts: ["*"] }]',
  ) +
  ["static", "empty", "dns", "byname", "robin", "none"]
    .map((name) =>
      object(
        "VirtualService",
        `edge-${name}`,
        `  hosts: [edge-${name}.example]\n  gateways: [edge]\n  http: [{ route: [{ destination: { host: ${name}.example, port: { number: 80 } } }] }]`,
      ),
    )
    .join("");

const FILTER = "networking.istio.io/v1alpha3";
const SUBSETS = object(
  "DestinationRule",
  "reviews",
  "  host: reviews\n  subsets: [{ name: v1, labels: { version: v1 } }, { name: v2, labels: { version: v2 } }]",
);
const VHOST = "reviews.default.svc.cluster.local:9080";
const ROUTED = object(
  "VirtualService",
  "reviews",
  `  hosts: [reviews]
  http:
    - { name: first, match: [{ uri: { prefix: /a } }], route: [{ destination: { host: reviews, subset: v1 } }] }
    - { name: second, match: [{ uri: { prefix: /c } }], route: [{ destination: { host: reviews, subset: v1 } }] }
    - { name: last, route: [{ destination: { host: reviews, subset: v2 } }] }`,
);
const patched = (patches: string) =>
  object(
    "EnvoyFilter",
    "patches",
    `  workloadSelector: { labels: { app: web } }\n  configPatches:\n${patches}`,
    FILTER,
  );
const onRoute = (operation: string, value: string, route = "") =>
  `    - applyTo: HTTP_ROUTE
      match: { context: SIDECAR_OUTBOUND, routeConfiguration: { vhost: { name: "${VHOST}"${route === "" ? "" : `, route: { name: ${route} }`} } } }
      patch: { operation: ${operation}${value === "" ? "" : `, value: ${value}`} }
`;
const status = (code: number, path: string) => `{ match: { path: ${path} }, direct_response: { status: ${code} } }`;
const PATCHES = patched(
  `    - applyTo: ROUTE_CONFIGURATION
      match: { context: SIDECAR_OUTBOUND, routeConfiguration: { name: "9080" } }
      patch: { operation: MERGE, value: { response_headers_to_add: [{ header: { key: x-table, value: patched } }] } }
    - applyTo: VIRTUAL_HOST
      match: { context: SIDECAR_OUTBOUND, routeConfiguration: { vhost: { name: "${VHOST}" } } }
      patch: { operation: MERGE, value: { response_headers_to_add: [{ header: { key: x-host, value: "%PROTOCOL%" } }] } }
    - applyTo: VIRTUAL_HOST
      match: { context: SIDECAR_OUTBOUND, routeConfiguration: { name: "9080" } }
      patch: { operation: ADD, value: { name: added, domains: [added.example], routes: [{ match: { prefix: / }, route: { cluster: "outbound|9080|v1|reviews.default.svc.cluster.local" } }] } }
    - applyTo: VIRTUAL_HOST
      match: { context: SIDECAR_OUTBOUND, routeConfiguration: { vhost: { name: "web.default.svc.cluster.local:9080" } } }
      patch: { operation: REMOVE }
` +
    onRoute("MERGE", '{ request_headers_to_add: [{ header: { key: x-route, value: "1" } }] }', "first") +
    onRoute("INSERT_FIRST", status(418, "/a/b")) +
    onRoute("INSERT_BEFORE", status(419, "/c/d"), "second") +
    onRoute("INSERT_AFTER", status(420, "/e"), "second") +
    onRoute("ADD", status(421, "/never")) +
    onRoute("REMOVE", "", "second") +
    `    - applyTo: CLUSTER
      match: { context: SIDECAR_OUTBOUND, cluster: { name: "outbound|9080|v2|reviews.default.svc.cluster.local" } }
      patch: { operation: MERGE, value: { circuit_breakers: { thresholds: [{ max_requests: 0 }] } } }
`,
);

const service = (name: string, address: string, spec: string) =>
  `---\napiVersion: v1\nkind: Service\nmetadata: { name: ${name} }\nspec: { clusterIP: ${address}, ${spec} }\n`;
/** Port at which the application of `db` speaks first. */
const GREETS = 3306;
const TOLD_BY_BYTES =
  service("sniffed", "10.96.2.1", "selector: { app: reviews }, ports: [{ name: any, port: 7000, targetPort: 9080 }]") +
  service("greets", "10.96.2.2", `selector: { app: db }, ports: [{ name: mysql, port: 3306, targetPort: ${GREETS} }]`) +
  service("late", "10.96.2.3", `selector: { app: db }, ports: [{ name: any, port: 3307, targetPort: ${GREETS} }]`);
const get = (...fields: readonly string[]) => ["GET / HTTP/1.1", "Host: reviews:9080", ...fields, "", ""].join("\r\n");
const UPGRADE = ["Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="];

/** Where requests go beyond what goldens have: outside, by what EnvoyFilters made of tables, and by the first bytes. */
export const outboundCases: readonly ShopCase[] = [
  { name: "destinations that nobody registered", input: "", calls: `calls:\n${UNKNOWN}` },
  {
    name: "destinations that nobody registered, where only what is may be reached",
    input: "",
    calls: `${REGISTRY_ONLY}calls:\n${UNKNOWN}`,
  },
  {
    name: "the same for one workload",
    input: object(
      "Sidecar",
      "web",
      "  workloadSelector: { labels: { app: web } }\n  outboundTrafficPolicy: { mode: REGISTRY_ONLY }",
    ),
    calls: `calls:\n${UNKNOWN}${UNKNOWN.replaceAll("web-v1", "reviews-v1")}`,
  },
  { name: "ServiceEntries of every resolution", input: ENTRIES, calls: `calls:\n${TO_ENTRIES}` },
  {
    name: "ServiceEntries of every resolution, and nothing else",
    input: ENTRIES,
    calls: `${REGISTRY_ONLY}calls:\n${TO_ENTRIES}`,
  },
  {
    name: "ServiceEntries of every resolution behind a gateway",
    input: ENTRIES + EDGE,
    calls: `calls:\n${calls("istio-ingressgateway", ...["static", "empty", "dns", "byname", "robin", "none"].map((name) => `http://edge-${name}.example/`))}`,
  },
  {
    name: "tables as EnvoyFilters make them",
    input: SUBSETS + ROUTED + PATCHES,
    calls: `calls:\n${calls("web-v1", ...["", "a", "a/b", "c", "c/d", "e", "never"].map((path) => `http://reviews:9080/${path}`), "http://added.example:9080/", "http://web:9080/")}${calls("caller-v1", "http://reviews.default:9080/a/b")}`,
  },
  {
    name: "protocols that are told by their bytes, and servers that speak first",
    input: TOLD_BY_BYTES,
    calls: `mesh: { protocolDetectionTimeout: 500ms }\ncalls:\n${calls("web-v1", "http://sniffed:7000/", "tcp://sniffed:7000", "https://sniffed:7000/", "tcp://greets:3306", "tcp://late:3307")}${bytes("web-v1", "tcp://greets:3306", "")}${bytes("web-v1", "tcp://late:3307", "")}`,
  },
  {
    name: "upgrades",
    input: "",
    calls: `calls:\n${bytes("web-v1", "tcp://reviews:9080", get("Upgrade: websocket", ...UPGRADE), get("Upgrade: websocket", "X-Refuse: 1", ...UPGRADE), get("Upgrade: other", ...UPGRADE))}${bytes("caller-v1", "tcp://reviews.default:9080", get("Upgrade: WebSocket", ...UPGRADE))}`,
  },
  {
    name: "services without an address of their own",
    input:
      service("headless", "None", "selector: { app: db }, ports: [{ name: tcp, port: 5432 }]") +
      service("pages", "None", "selector: { app: reviews }, ports: [{ name: http, port: 9080 }]"),
    calls: `calls:\n${calls("web-v1", "tcp://headless:5432", "http://pages:9080/", "http://pages:9080/a?b")}${calls("caller-v1", "tcp://headless.default:5432", "http://pages.default:9080/")}`,
  },
];
