import { describe, expect, it } from "vitest";
import { encodeObject } from "../../decode/encode.ts";
import { keyOf } from "../../key.ts";
import { documentOf, findingsOf, objectsOf } from "../../testing/findings.ts";

const rule = (text: string) => `{parentRefs: [{name: gw}], rules: [{${text}}]}`;
const filter = (text: string) => rule(`filters: [${text}], backendRefs: [{name: web, port: 80}]`);
const redirect = (text: string) => rule(`filters: [{type: RequestRedirect, requestRedirect: {${text}}}]`);
const path = (type: string, value: string) => rule(`matches: [{path: {type: ${type}, value: '${value}'}}]`);
const listener = (text: string) => `{gatewayClassName: istio, listeners: [{name: a, port: 80, ${text}}]}`;
const CERT = "certificateRefs: [{name: cert}]";

describe("a Gateway API object is accepted", () => {
  it.each([
    ["KubernetesGateway", "{gatewayClassName: istio}"],
    [
      "KubernetesGateway",
      listener("protocol: HTTP, hostname: '*.example.com', allowedRoutes: {namespaces: {from: All}}"),
    ],
    [
      "KubernetesGateway",
      listener(`protocol: HTTPS, tls: {${CERT}, options: {gateway.istio.io/tls-terminate-mode: MUTUAL}}`),
    ],
    ["KubernetesGateway", listener("protocol: TLS, hostname: a.example.com, tls: {mode: Passthrough}")],
    ["KubernetesGateway", listener("protocol: TCP")],
    [
      "HTTPRoute",
      "{parentRefs: [{name: gw, sectionName: a}, {name: gw, sectionName: b}], hostnames: ['*.example.com']}",
    ],
    [
      "HTTPRoute",
      rule("timeouts: {request: 10s, backendRequest: 2s}, retry: {codes: [503], attempts: 3, backoff: 100ms}"),
    ],
    ["HTTPRoute", path("PathPrefix", "/a/b")],
    ["HTTPRoute", path("RegularExpression", "/a/[0-9]+")],
    [
      "HTTPRoute",
      filter(
        "{type: URLRewrite, urlRewrite: {hostname: a.b, path: {type: ReplacePrefixMatch, replacePrefixMatch: /x}}}",
      ),
    ],
    ["HTTPRoute", redirect("scheme: https, statusCode: 301")],
    [
      "HTTPRoute",
      filter("{type: CORS, cors: {allowOrigins: ['*', 'https://*.a.com', 'http://a.com:8080'], maxAge: 60}}"),
    ],
    ["GRPCRoute", rule("matches: [{method: {service: a.b.C, method: D}}], backendRefs: [{name: web, port: 80}]")],
    [
      "TLSRoute",
      "{parentRefs: [{name: gw}], hostnames: [a.example.com], rules: [{backendRefs: [{name: web, port: 443}]}]}",
    ],
    ["TCPRoute", "{parentRefs: [{name: gw}], rules: [{backendRefs: [{name: web, port: 443}]}]}"],
    [
      "BackendTLSPolicy",
      "{targetRefs: [{group: '', kind: Service, name: web}], validation: {wellKnownCACertificates: System, hostname: a.b}}",
    ],
    [
      "Ingress",
      "{ingressClassName: istio, rules: [{host: '*.a.com', http: {paths: [{path: /x, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}}]}",
    ],
  ])("%s %s", (kind, spec) => {
    expect(findingsOf(documentOf(kind, spec))).toEqual([]);
  });
});

describe("a Gateway API object is refused", () => {
  it.each([
    ["KubernetesGateway", listener("protocol: QUIC"), '"QUIC" is not one of HTTP'],
    ["KubernetesGateway", listener("protocol: HTTP, hostname: 1.2.3.4"), '"1.2.3.4" is an address'],
    ["KubernetesGateway", listener("protocol: TCP, hostname: a.b"), "a listener with protocol TCP has no hostname"],
    ["KubernetesGateway", listener(`protocol: HTTP, tls: {${CERT}}`), "a listener with protocol HTTP has no tls"],
    ["KubernetesGateway", listener("protocol: HTTPS"), "a listener with protocol HTTPS needs tls"],
    ["KubernetesGateway", listener("protocol: HTTPS, tls: {mode: Passthrough}"), "mode must be Terminate"],
    ["KubernetesGateway", listener("protocol: HTTPS, tls: {}"), "certificateRefs are required"],
    [
      "KubernetesGateway",
      "{gatewayClassName: i, listeners: [{name: a, port: 80, protocol: HTTP}, {name: a, port: 81, protocol: HTTP}]}",
      'listener "a" is there twice',
    ],
    [
      "KubernetesGateway",
      "{gatewayClassName: i, listeners: [{name: a, port: 80, protocol: HTTP}, {name: b, port: 80, protocol: HTTP}]}",
      "are those of another listener",
    ],
    ["HTTPRoute", "{parentRefs: [{name: gw}, {kind: Gateway, name: gw}]}", "two parents are the same"],
    ["HTTPRoute", "{hostnames: ['*']}", '"*" is not a host name'],
    ["HTTPRoute", path("Exact", "a"), 'a path begins with "/"'],
    ["HTTPRoute", path("PathPrefix", "/a//b"), 'a path must not contain "//"'],
    ["HTTPRoute", path("PathPrefix", "/a/.."), "a path must not end with a dot segment"],
    ["HTTPRoute", path("PathPrefix", "/a?b"), "has a character that a path cannot have"],
    ["HTTPRoute", filter("{type: CORS, cors: {allowOrigins: [example.com]}}"), 'is not "*" or an origin'],
    ["HTTPRoute", path("RegularExpression", "("), "not a regular expression"],
    ["HTTPRoute", rule("matches: [{headers: [{name: a, value: b}, {name: A, value: c}]}]"), '"A" is matched twice'],
    ["HTTPRoute", rule("matches: [{method: FETCH}]"), "FETCH"],
    ["HTTPRoute", rule("backendRefs: [{name: web}]"), 'field "port" is required for a Service'],
    ["HTTPRoute", filter("{type: URLRewrite}"), "a filter of type URLRewrite needs urlRewrite"],
    ["HTTPRoute", filter("{type: ExtensionRef, extensionRef: {}}"), "no extension of it is known"],
    [
      "HTTPRoute",
      filter("{type: URLRewrite, urlRewrite: {hostname: a.b}}, {type: URLRewrite, urlRewrite: {hostname: a.b}}"),
      "at most one filter of type URLRewrite",
    ],
    [
      "HTTPRoute",
      filter("{type: RequestRedirect, requestRedirect: {scheme: https}}"),
      "a rule that redirects has no backends",
    ],
    ["HTTPRoute", redirect("scheme: ftp"), "scheme must be http or https"],
    ["HTTPRoute", redirect("statusCode: 200"), "200 is not one of"],
    [
      "HTTPRoute",
      rule(
        "matches: [{path: {type: Exact, value: /a}}], filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /x}}}]",
      ),
      "ReplacePrefixMatch needs exactly one match",
    ],
    ["HTTPRoute", rule("timeouts: {request: 1s, backendRequest: 2s}"), "must not be longer than request"],
    ["HTTPRoute", rule("nonsense: 1"), 'unknown field "nonsense"'],
    [
      "HTTPRoute",
      rule(
        "backendRefs: [{name: web, port: 80, filters: [{type: RequestMirror, requestMirror: {backendRef: {name: w, port: 80}}}]}]",
      ),
      "is not supported for one backend",
    ],
    ["GRPCRoute", rule("matches: [{method: {}}]"), "one or both of service and method are required"],
    ["GRPCRoute", rule("matches: [{method: {service: a/b}}]"), '"a/b" is not a gRPC service'],
    ["TCPRoute", "{parentRefs: [{name: gw}]}", "at least one rule is required"],
    [
      "BackendTLSPolicy",
      "{targetRefs: [{group: '', kind: Service, name: web}], validation: {hostname: a.b}}",
      "exactly one of caCertificateRefs and wellKnownCACertificates is required",
    ],
    [
      "Ingress",
      "{rules: [{http: {paths: [{path: '/x?y', pathType: ImplementationSpecific, backend: {service: {name: web, port: {name: p}}}}]}}]}",
      "has a character that a path cannot have",
    ],
    [
      "VirtualService",
      "{hosts: [a.b], gateways: [gw-istio-autogenerated-k8s-gateway-http], http: [{route: [{destination: {host: a}}]}]}",
      "only its routes can use it",
    ],
    ["Ingress", "{}", "either defaultBackend or rules are required"],
    ["Ingress", "{defaultBackend: {service: {name: web}}}", "exactly one of port.name and port.number is required"],
    [
      "Ingress",
      "{rules: [{http: {paths: [{path: x, pathType: Prefix, backend: {service: {name: web, port: {name: p}}}}]}}]}",
      'a path begins with "/"',
    ],
  ])("%s %s", (kind, spec, message) => {
    const found = findingsOf(documentOf(kind, spec));
    expect(found.join("\n")).toContain(message);
    expect(found.some((finding) => finding.startsWith("error"))).toBe(true);
  });
});

it("an Ingress of no class is warned about", () => {
  const spec = "{defaultBackend: {service: {name: web, port: {number: 80}}}}";
  expect(findingsOf(documentOf("Ingress", spec))).toEqual([
    "warning spec: without ingressClassName it is served only where the mesh's ingressControllerMode is DEFAULT",
  ]);
});

it("the two Gateways are two kinds, each written as Gateway", () => {
  const text = `${documentOf("KubernetesGateway", listener("protocol: HTTP"))}---\n${documentOf(
    "Gateway",
    "{selector: {a: b}, servers: [{port: {number: 80, name: h, protocol: HTTP}, hosts: ['*']}]}",
  )}`;
  const objects = objectsOf(text);
  expect(objects.map(keyOf)).toEqual(["KubernetesGateway/default/it", "Gateway/default/it"]);
  expect(objects.map((object) => encodeObject(object).kind)).toEqual(["Gateway", "Gateway"]);
});
