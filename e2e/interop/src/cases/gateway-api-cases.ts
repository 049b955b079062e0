import { type Case, SUBSETS } from "./case.ts";

const api = (kind: string, name: string, spec: string, version = "v1") =>
  `---\napiVersion: gateway.networking.k8s.io/${version}\nkind: ${kind}\nmetadata: { name: ${name} }\nspec: ${spec}\n`;
const ADDRESS = "addresses: [{ type: Hostname, value: istio-ingressgateway.default.svc.cluster.local }]";
const gateway = (listeners: string) =>
  api("Gateway", "gw", `{ gatewayClassName: istio, ${ADDRESS}, listeners: [${listeners}] }`);
const HTTP = "{ name: http, port: 80, protocol: HTTP }";
const route = (name: string, rules: string, more = "") =>
  api("HTTPRoute", name, `{ parentRefs: [{ name: gw }], ${more} rules: [${rules}] }`);
const to = (backend: string) => `backendRefs: [{ name: ${backend}, port: 80 }]`;
const path = (value: string, type = "PathPrefix") => `{ path: { type: ${type}, value: '${value}' } }`;
const replace = (value: string) => `{ type: ReplacePrefixMatch, replacePrefixMatch: '${value}' }`;
const rewrite = (settings: string) => `filters: [{ type: URLRewrite, urlRewrite: { ${settings} } }]`;
const redirect = (settings: string) => `filters: [{ type: RequestRedirect, requestRedirect: { ${settings} } }]`;

const paths = ["/", "/a", "/a/", "/a/b?x=1", "/ab", "/root", "/root/x", "/old/y?q=2", "/re/12", "/exact", "/exact/z"];

/** Gateway API and Ingress, as gateways serve them and as sidecars follow them. */
export const gatewayApiCases: readonly Case[] = [
  {
    name: "HTTPRoute: paths, in the order of the Gateway API",
    yaml:
      SUBSETS +
      gateway(HTTP) +
      route(
        "paths",
        [
          `{ ${to("legacy")} }`,
          `{ matches: [${path("/a")}], ${rewrite(`path: ${replace("/new")}`)}, ${to("web")} }`,
          `{ matches: [${path("/root")}], ${rewrite(`path: ${replace("/")}`)}, ${to("web")} }`,
          `{ matches: [${path("/old")}], ${redirect(`path: ${replace("/")}, statusCode: 301`)} }`,
          `{ matches: [${path("/re/[0-9]+", "RegularExpression")}], ${redirect("scheme: https, hostname: o.example")} }`,
          `{ matches: [${path("/exact", "Exact")}], ${redirect("path: { type: ReplaceFullPath, replaceFullPath: /x }")} }`,
        ].join(", "),
      ),
    requests: { to: ["gateway:80"], hosts: ["any.example"], paths },
    pool: true,
  },
  {
    name: "HTTPRoute: hostnames, headers, methods, backends that are not there",
    yaml:
      SUBSETS +
      gateway(`{ name: wide, port: 80, protocol: HTTP, hostname: '*.example' }`) +
      route(
        "one",
        [
          `{ matches: [{ method: POST }], ${to("legacy")} }`,
          `{ matches: [{ headers: [{ name: x-user, value: tester }] }], backendRefs: [{ name: nobody, port: 80 }] }`,
          `{ matches: [{ queryParams: [{ name: q, value: '1' }] }], filters: [{ type: ResponseHeaderModifier, responseHeaderModifier: { set: [{ name: x-set, value: '100%' }] } }], ${to("legacy")} }`,
        ].join(", "),
        "hostnames: [one.example],",
      ) +
      route("all", `{ ${to("web")} }`, "hostnames: ['*.example'],"),
    requests: {
      to: ["gateway:80"],
      hosts: ["one.example", "two.example", "other.test"],
      methods: ["GET", "POST"],
      paths: ["/", "/x?q=1", "/x?q=2"],
      headers: [{}, { "x-user": "tester" }],
    },
    pool: true,
  },
  {
    name: "HTTPRoute of the mesh",
    yaml:
      SUBSETS +
      api(
        "HTTPRoute",
        "mesh",
        `{ parentRefs: [{ group: '', kind: Service, name: web }], rules: [{ matches: [${path("/a")}], ${rewrite(`path: ${replace("/new")}`)}, ${to("legacy")} }, { matches: [${path("/old")}], ${redirect("port: 8080")} }] }`,
      ),
    requests: { to: ["web:80"], paths },
    pool: true,
  },
  {
    name: "Ingress: path types and the default backend",
    yaml: `${SUBSETS}---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: web }
spec:
  ingressClassName: istio
  defaultBackend: { service: { name: legacy, port: { name: http } } }
  rules:
    - host: web.example
      http:
        paths:
          - { path: /a, pathType: Prefix, backend: { service: { name: web, port: { number: 80 } } } }
          - { path: /exact, pathType: Exact, backend: { service: { name: web, port: { number: 80 } } } }
          - { path: /root, pathType: Prefix, backend: { service: { name: nobody, port: { number: 80 } } } }
`,
    requests: { to: ["gateway:80"], hosts: ["web.example", "any.example"], paths },
    pool: true,
  },
  {
    name: "TCPRoute",
    yaml:
      gateway("{ name: tcp, port: 7001, protocol: TCP }") +
      api("TCPRoute", "tcp", `{ parentRefs: [{ name: gw }], rules: [{ ${to("legacy")} }] }`, "v1alpha2"),
    requests: { to: ["gateway:7001"], paths: ["/"] },
    pool: true,
  },
];
