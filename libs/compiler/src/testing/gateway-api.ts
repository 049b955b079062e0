import { type Labels, type NodeOptions, type ProxyView, service, viewOf } from "./mesh.ts";
import { simulate } from "./simulate.ts";

/** The pod that serves Gateway `gw`. */
export const GATEWAY_NODE: NodeOptions = { kind: "router", labels: { gw: "gw" } };
/** Services `a`, `b` and `c` on port 80, and the one in front of the gateway's pod. */
export const SERVICES =
  ["a", "b", "c"].map((name, index) => service(name, `10.0.0.${index + 1}`, ["http:80"])).join("") +
  service("gw-istio", "10.0.0.9", ["http:80", "https:443", "tls:8443", "tcp:9000"], { selector: { gw: "gw" } });

interface ObjectOptions {
  readonly namespace?: string;
  readonly created?: string;
  readonly labels?: Labels;
  readonly version?: string;
}

/** A Gateway API object. */
export function apiObject(kind: string, name: string, spec: string, options: ObjectOptions = {}): string {
  const { namespace = "default", created = "2024-01-01T00:00:00Z", labels = {}, version = "v1" } = options;
  return `
apiVersion: gateway.networking.k8s.io/${version}
kind: ${kind}
metadata: { name: ${name}, namespace: ${namespace}, creationTimestamp: "${created}", labels: ${JSON.stringify(labels)} }
spec: ${spec}
---`;
}

/** Gateway `gw` with one listener, or these. */
export function gatewayOf(listeners = "{ name: http, port: 80, protocol: HTTP }", more = ""): string {
  return apiObject("Gateway", "gw", `{ gatewayClassName: istio, listeners: [${listeners}] ${more} }`);
}

/** An HTTPRoute of Gateway `gw` with these rules. */
export function httpRoute(name: string, rules: string, more = "", options: ObjectOptions = {}): string {
  return apiObject(
    "HTTPRoute",
    name,
    `{ parentRefs: [{ name: gw, namespace: default }], ${more} rules: [${rules}] }`,
    options,
  );
}

/** A rule: matches → service. */
export function to(backend: string, ...matches: readonly string[]): string {
  const list = matches.length === 0 ? "" : `matches: [${matches.join(", ")}], `;
  return `{ ${list}backendRefs: [{ name: ${backend}, port: 80 }] }`;
}

/** What a request to the gateway comes to: `→ a`, `→ a as /path`, `302 location`, `404 no route`. */
export function ask(view: ProxyView, request: string, routes = "http.80"): string {
  const [method = "GET", url = "", ...headers] = request.split(" ");
  const slash = url.indexOf("/");
  const answer = simulate(view.route(routes), {
    method,
    host: url.slice(0, slash),
    path: url.slice(slash),
    headers: Object.fromEntries(headers.map((header) => header.split("=") as [string, string])),
  });
  return answer.replaceAll(/outbound\|\d+\|\|([a-z-]+)\.[a-z.]+/g, "$1");
}

/** A view of the gateway's pod. */
export function gatewayView(yaml: string): ProxyView {
  return viewOf(SERVICES + yaml, GATEWAY_NODE);
}
