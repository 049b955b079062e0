import { tlsSecret } from "../harness/certificates.ts";
import { type Case, object, SUBSETS, virtualService } from "./case.ts";

const gateway = (servers: string, name = "gw") =>
  object("Gateway", name, `  selector: { istio: ingressgateway }\n  servers:\n${servers}`);
const HTTP = '    - { port: { number: 80, name: http, protocol: HTTP }, hosts: ["*"] }';
const v = (subset: string) => `route: [{ destination: { host: web, subset: ${subset}, port: { number: 80 } } }]`;
const behind = (name: string, hosts: string, rules: string) =>
  virtualService(name, `  hosts: ${hosts}\n  gateways: [gw]\n  http:\n${rules}`);
const paths = ["/", "/a", "/a/b?x=1", "/b", "/a//b", "/%2e%2e/a", "/a/../b", "/x%2Fy"];

const http = { to: ["gateway:80"], paths };

/** Gateway and VirtualService as an ingress gateway serves them. */
export const gatewayCases: readonly Case[] = [
  {
    name: "a gateway without routes",
    yaml: gateway(HTTP),
    requests: { ...http, hosts: ["web", "any.example"] },
  },
  {
    name: "hosts: exact, wildcard, any",
    yaml:
      SUBSETS +
      gateway(HTTP) +
      behind("exact", "[a.example]", `    - ${v("v1")}`) +
      behind("wild", '["*.example"]', `    - match: [{ uri: { prefix: /a } }]\n      ${v("v2")}`) +
      behind("deep", '["*.deep.example"]', `    - ${v("v3")}`),
    requests: {
      ...http,
      hosts: [
        "a.example",
        "a.example:80",
        "A.example",
        "b.example",
        "x.deep.example",
        "deep.example",
        "example",
        "other",
      ],
    },
  },
  {
    name: "only the server's hosts",
    yaml:
      SUBSETS +
      gateway('    - { port: { number: 80, name: http, protocol: HTTP }, hosts: [a.example, "*.b.example"] }') +
      behind("any", '["*"]', `    - ${v("v1")}`) +
      behind("narrow", '["x.b.example", "c.example"]', `    - ${v("v2")}`),
    requests: { ...http, hosts: ["a.example", "x.b.example", "y.b.example", "c.example", "b.example"] },
  },
  {
    name: "redirect to https",
    yaml:
      SUBSETS +
      gateway(
        '    - { port: { number: 80, name: http, protocol: HTTP }, hosts: ["*"], tls: { httpsRedirect: true } }',
      ) +
      behind("any", '["a.example"]', `    - ${v("v1")}`),
    // Not with a port in Host: Envoy would send clients to that port for https, ours sends them to 443.
    requests: { ...http, hosts: ["a.example", "other.example"], methods: ["GET", "POST"] },
  },
  {
    name: "rules at the edge",
    yaml:
      SUBSETS +
      gateway(HTTP) +
      behind(
        "rules",
        '["*"]',
        `    - match: [{ uri: { exact: /a } }]
      rewrite: { uri: /from-edge }
      headers: { request: { set: { x-edge: "1" }, remove: [x-forwarded-for] } }
      ${v("v1")}
    - match: [{ uri: { prefix: /b } }]
      redirect: { uri: /elsewhere, authority: b.example }
    - match: [{ headers: { x-fail: { exact: "1" } } }]
      fault: { abort: { httpStatus: 418, percentage: { value: 100 } } }
      ${v("v2")}
    - timeout: 3s
      retries: { attempts: 1, retryOn: 5xx }
      ${v("v3")}`,
      ),
    requests: {
      ...http,
      hosts: ["a.example"],
      headers: [
        {},
        { "x-fail": "1" },
        { "x-want-status": "503" },
        { "x-forwarded-for": "1.2.3.4" },
        { "x-forwarded-proto": "https", "x-request-id": "abc" },
        { "x-envoy-upstream-rq-timeout-ms": "1", "x-envoy-max-retries": "5", "x-envoy-retry-on": "5xx" },
        { "x-envoy-internal": "true", "x-envoy-original-path": "/spoofed" },
        { "x-forwarded-client-cert": "By=spiffe://spoofed" },
      ],
    },
  },
  {
    name: "TLS by SNI",
    yaml:
      SUBSETS +
      tlsSecret("cred") +
      gateway(
        `    - port: { number: 443, name: https, protocol: HTTPS }
      hosts: [secure.example, "*.wild.example"]
      tls: { mode: SIMPLE, credentialName: cred }`,
      ) +
      behind("secure", "[secure.example]", `    - ${v("v1")}`) +
      behind("wild", '["*.wild.example"]', `    - ${v("v2")}`),
    requests: {
      to: ["gateway:443"],
      hosts: ["secure.example", "x.wild.example", "y.wild.example", "unknown.example"],
      as: ["tls"],
      paths,
    },
  },
];
