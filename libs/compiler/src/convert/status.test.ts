import { parseResourceKey, type ResourceKey, resourceKey } from "@lateen/mesh-model";
import { describe, expect, it } from "vitest";
import { tlsSecret } from "../testing/certificates.ts";
import { apiObject, gatewayOf, httpRoute, SERVICES, to } from "../testing/gateway-api.ts";
import { compilerFor, objectsFrom } from "../testing/mesh.ts";
import type { Condition } from "./conditions.ts";

interface Status {
  readonly conditions?: readonly Condition[];
  readonly parents?: readonly { readonly conditions: readonly Condition[] }[];
  readonly ancestors?: readonly { readonly conditions: readonly Condition[] }[];
  readonly listeners?: readonly {
    readonly name: string;
    readonly attachedRoutes: number;
    readonly supportedKinds: readonly { readonly kind: string }[];
    readonly conditions: readonly Condition[];
  }[];
  readonly addresses?: readonly { readonly type: string; readonly value: string }[];
}

const short = (conditions: readonly Condition[] = []) =>
  conditions.map(({ type, status, reason }) => `${type}=${status} ${reason}`).join(", ");

function statusOf(yaml: string, key: string): Status | undefined {
  const parsed = parseResourceKey(key);
  if (parsed === undefined) throw new Error(key);
  const compiler = compilerFor(objectsFrom(SERVICES + yaml));
  return compiler.status(resourceKey(parsed.kind, parsed.namespace, parsed.name) as ResourceKey) as Status | undefined;
}
const listenersOf = (yaml: string) =>
  (statusOf(yaml, "KubernetesGateway/default/gw")?.listeners ?? []).map(({ conditions }) => short(conditions));
const routeOf = (yaml: string, key = "HTTPRoute/default/r") =>
  statusOf(yaml, key)?.parents?.map(({ conditions }) => short(conditions));

const GOOD = "Accepted=True Accepted, ResolvedRefs=True ResolvedRefs";
const secret = (namespace: string, data?: Readonly<Record<string, string>>) => tlsSecret("cert", namespace, data);
const https = (ref: string) => `{ name: https, port: 443, protocol: HTTPS, tls: { certificateRefs: [${ref}] } }`;

describe("a listener", () => {
  const served =
    "Accepted=True Accepted, Conflicted=False NoConflicts, ResolvedRefs=True ResolvedRefs, Programmed=True Programmed";
  const grant = (kind: string) =>
    apiObject(
      "ReferenceGrant",
      "g",
      `{ from: [{ group: gateway.networking.k8s.io, kind: ${kind}, namespace: default }], to: [{ group: '', kind: Secret }] }`,
      { namespace: "other" },
    );

  it.each([
    ["is served", gatewayOf(), served],
    [
      "on a port of the proxy is not",
      gatewayOf("{ name: h, port: 15021, protocol: HTTP }"),
      "Accepted=False PortUnavailable",
    ],
    ["with UDP is not", gatewayOf("{ name: u, port: 53, protocol: UDP }"), "Accepted=False UnsupportedProtocol"],
    ["with a certificate is served", secret("default") + gatewayOf(https("{ name: cert }")), served],
    ["without its Secret is not", gatewayOf(https("{ name: cert }")), "ResolvedRefs=False InvalidCertificateRef"],
    [
      "with a Secret of anything else is not",
      secret("default", { "tls.crt": "eA==", "tls.key": "eA==" }) + gatewayOf(https("{ name: cert }")),
      "ResolvedRefs=False InvalidCertificateRef, Programmed=False Invalid",
    ],
    [
      "with a certificate of another kind is not",
      gatewayOf(https("{ kind: ConfigMap, name: cert }")),
      "ResolvedRefs=False InvalidCertificateRef",
    ],
    [
      "with another namespace's Secret is not",
      secret("other") + gatewayOf(https("{ name: cert, namespace: other }")),
      "ResolvedRefs=False RefNotPermitted",
    ],
    [
      "with a grant for others is not",
      secret("other") + grant("HTTPRoute") + gatewayOf(https("{ name: cert, namespace: other }")),
      "ResolvedRefs=False RefNotPermitted",
    ],
    [
      "with a grant is",
      secret("other") + grant("Gateway") + gatewayOf(https("{ name: cert, namespace: other }")),
      served,
    ],
    [
      "that lists a kind it cannot serve says so",
      gatewayOf("{ name: http, port: 80, protocol: HTTP, allowedRoutes: { kinds: [{ kind: TCPRoute }] } }"),
      "ResolvedRefs=False InvalidRouteKinds",
    ],
  ])("%s", (_title, yaml, expected) => {
    expect(listenersOf(yaml)[0]).toContain(expected);
  });

  it.each([
    [
      "another protocol",
      "{ name: a, port: 80, protocol: HTTP }, { name: b, port: 80, protocol: TCP }",
      "Conflicted=True ProtocolConflict",
    ],
    [
      "the hostname of a TLS listener",
      "{ name: a, port: 443, protocol: TLS, hostname: a.com, tls: { mode: Passthrough } }, { name: b, port: 443, protocol: HTTPS, hostname: a.com, tls: { certificateRefs: [{ name: cert }] } }",
      "Conflicted=True HostnameConflict",
    ],
  ])("that shares a port with %s is not served, nor is the other", (_title, listeners, expected) => {
    const found = listenersOf(
      `${secret("default")}${gatewayOf(`${listeners}, { name: c, port: 81, protocol: HTTP }`)}`,
    );
    for (const one of found.slice(0, 2)) {
      expect(one).toContain(expected);
      expect(one).toContain("Programmed=False Invalid");
    }
    expect(found[2]).toBe(served);
  });

  it("of one port and another hostname contradict nobody", () => {
    const tls = (name: string, host: string) =>
      `{ name: ${name}, port: 443, protocol: TLS, hostname: ${host}, tls: { mode: Passthrough } }`;
    expect(listenersOf(gatewayOf(`${tls("a", "a.com")}, ${tls("b", "b.com")}`))).toEqual([served, served]);
  });

  it("counts the routes attached to it, and names their kinds", () => {
    const yaml =
      gatewayOf() +
      httpRoute("r", to("a")) +
      httpRoute("s", to("nobody")) +
      httpRoute("t", to("a"), "", { namespace: "x" });
    const [listener] = statusOf(yaml, "KubernetesGateway/default/gw")?.listeners ?? [];
    expect(listener?.attachedRoutes).toBe(2);
    expect(listener?.supportedKinds.map(({ kind }) => kind)).toEqual(["HTTPRoute", "GRPCRoute"]);
  });
});

describe("a Gateway", () => {
  const gateway = (spec: string) => apiObject("Gateway", "gw", spec);
  const http = "listeners: [{ name: http, port: 80, protocol: HTTP }]";

  it.each([
    [
      "of the mesh's class",
      `{ gatewayClassName: istio, ${http} }`,
      "",
      "Accepted=True Accepted, Programmed=True Programmed",
    ],
    [
      "of a class of its controller",
      `{ gatewayClassName: own, ${http} }`,
      apiObject("GatewayClass", "own", "{ controllerName: istio.io/gateway-controller }"),
      "Accepted=True Accepted, Programmed=True Programmed",
    ],
    [
      "of another controller",
      `{ gatewayClassName: own, ${http} }`,
      apiObject("GatewayClass", "own", "{ controllerName: example.com/other }"),
      "Accepted=Unknown Pending, Programmed=Unknown Pending",
    ],
    [
      "of an unknown class",
      `{ gatewayClassName: own, ${http} }`,
      "",
      "Accepted=Unknown Pending, Programmed=Unknown Pending",
    ],
    [
      "with a chosen address",
      `{ gatewayClassName: istio, addresses: [{ value: 1.2.3.4 }], ${http} }`,
      "",
      "Accepted=False UnsupportedAddress, Programmed=False UnsupportedAddress",
    ],
    [
      "with a service that is not there",
      `{ gatewayClassName: istio, addresses: [{ type: Hostname, value: nobody.x.svc.cluster.local }], ${http} }`,
      "",
      "Accepted=True Accepted, Programmed=False AddressNotAssigned",
    ],
    [
      "with a port that its service has not",
      "{ gatewayClassName: istio, listeners: [{ name: http, port: 81, protocol: HTTP }] }",
      "",
      "Accepted=True Accepted, Programmed=False AddressNotUsable",
    ],
    [
      "with a listener that is not valid",
      "{ gatewayClassName: istio, listeners: [{ name: http, port: 80, protocol: HTTP }, { name: udp, port: 53, protocol: UDP }] }",
      "",
      "Accepted=True ListenersNotValid, Programmed=True Programmed",
    ],
    [
      "of a class with parameters",
      `{ gatewayClassName: own, ${http} }`,
      apiObject(
        "GatewayClass",
        "own",
        "{ controllerName: istio.io/gateway-controller, parametersRef: { group: '', kind: ConfigMap, name: c } }",
      ),
      "Accepted=False InvalidParameters, Programmed=False InvalidParameters",
    ],
  ])("%s", (_title, spec, more, expected) => {
    expect(short(statusOf(gateway(spec) + more, "KubernetesGateway/default/gw")?.conditions)).toBe(expected);
  });

  it("has conditions of the generation that they were found for, also its listeners", () => {
    const text = gatewayOf().replace("metadata: {", "metadata: { generation: 7,");
    const status = statusOf(text, "KubernetesGateway/default/gw");
    const all = [...(status?.conditions ?? []), ...(status?.listeners ?? []).flatMap(({ conditions }) => conditions)];
    expect(all.length).toBeGreaterThan(4);
    for (const one of all) expect(one).toMatchObject({ observedGeneration: 7 });
  });

  it("says where it is served", () => {
    expect(statusOf(gatewayOf(), "KubernetesGateway/default/gw")?.addresses).toEqual([
      { type: "Hostname", value: "gw-istio.default.svc.cluster.local" },
    ]);
  });

  it("of another controller takes no routes", () => {
    const yaml = gateway(`{ gatewayClassName: own, ${http} }`) + httpRoute("r", to("a"));
    expect(routeOf(yaml)).toEqual([]);
  });
});

describe("a route", () => {
  const from = (namespaces: string) =>
    `{ name: http, port: 80, protocol: HTTP, allowedRoutes: { namespaces: ${namespaces} } }`;
  const selector = "{ from: Selector, selector: { matchLabels: { team: a } } }";
  const expression = (operator: string) =>
    `{ from: Selector, selector: { matchExpressions: [{ key: team, operator: ${operator}, values: [a] }] } }`;
  const namespace = "\napiVersion: v1\nkind: Namespace\nmetadata: { name: user, labels: { team: a } }\n---";
  const user = httpRoute("r", to("a"), "", { namespace: "user" });
  const REFUSED = "Accepted=False NotAllowedByListeners";

  it.each([
    ["of the same namespace", gatewayOf() + httpRoute("r", to("a")), "default", GOOD],
    ["of another namespace", gatewayOf() + user, "user", REFUSED],
    ["where none is allowed", gatewayOf(from("{ from: None }")) + httpRoute("r", to("a")), "default", REFUSED],
    ["where all are allowed", gatewayOf(from("{ from: All }")) + user, "user", "Accepted=True Accepted"],
    ["of a selected namespace", gatewayOf(from(selector)) + namespace + user, "user", "Accepted=True Accepted"],
    ["of a namespace without the label", gatewayOf(from(selector)) + user, "user", REFUSED],
    ["In", gatewayOf(from(expression("In"))) + namespace + user, "user", "Accepted=True Accepted"],
    ["NotIn", gatewayOf(from(expression("NotIn"))) + namespace + user, "user", REFUSED],
    ["Exists", gatewayOf(from(expression("Exists"))) + namespace + user, "user", "Accepted=True Accepted"],
    ["DoesNotExist", gatewayOf(from(expression("DoesNotExist"))) + namespace + user, "user", REFUSED],
    [
      "of a namespace selected by its name",
      gatewayOf(from("{ from: Selector, selector: { matchLabels: { kubernetes.io/metadata.name: user } } }")) + user,
      "user",
      "Accepted=True Accepted",
    ],
    ["without its Gateway", httpRoute("r", to("a")), "default", "Accepted=False NoMatchingParent"],
    [
      "with a hostname that no listener has",
      gatewayOf("{ name: http, port: 80, protocol: HTTP, hostname: a.com }") +
        httpRoute("r", to("a"), "hostnames: [b.com],"),
      "default",
      "Accepted=False NoMatchingListenerHostname",
    ],
    ["to nobody", gatewayOf() + httpRoute("r", to("nobody")), "default", "ResolvedRefs=False BackendNotFound"],
    [
      "to another kind",
      gatewayOf() + httpRoute("r", "{ backendRefs: [{ kind: Bucket, name: a, port: 80 }] }"),
      "default",
      "ResolvedRefs=False InvalidKind",
    ],
    [
      "to another namespace",
      gatewayOf() + httpRoute("r", "{ backendRefs: [{ namespace: x, name: a, port: 80 }] }"),
      "default",
      "ResolvedRefs=False RefNotPermitted",
    ],
  ])("%s", (_title, yaml, home, expected) => {
    expect(routeOf(yaml, `HTTPRoute/${home}/r`)?.[0]).toContain(expected);
  });

  it.each([
    ["sectionName: http", "Accepted=True Accepted"],
    ["sectionName: other", "Accepted=False NoMatchingParent"],
    ["port: 80", "Accepted=True Accepted"],
    ["port: 81", "Accepted=False NoMatchingParent"],
  ])("may name a part of its parent: %s", (part, expected) => {
    const yaml =
      gatewayOf() + apiObject("HTTPRoute", "r", `{ parentRefs: [{ name: gw, ${part} }], rules: [${to("a")}] }`);
    expect(routeOf(yaml)?.[0]).toContain(expected);
  });

  it.each([
    ["TCPRoute", "http", REFUSED],
    ["TCPRoute", "tcp", GOOD],
    ["TLSRoute", "tls", GOOD],
    ["TLSRoute", "tcp", REFUSED],
    ["HTTPRoute", "tcp", REFUSED],
  ])("%s at listener %s", (kind, section, expected) => {
    const listeners =
      "{ name: http, port: 80, protocol: HTTP }, { name: tcp, port: 9000, protocol: TCP }, { name: tls, port: 8443, protocol: TLS, tls: { mode: Passthrough } }";
    const yaml =
      gatewayOf(listeners) +
      apiObject(
        kind,
        "r",
        `{ parentRefs: [{ name: gw, sectionName: ${section} }], rules: [{ backendRefs: [{ name: a, port: 80 }] }] }`,
        kind === "TCPRoute" ? { version: "v1alpha2" } : {},
      );
    expect(routeOf(yaml, `${kind}/default/r`)?.[0]).toContain(expected);
  });

  it("has a status for each of its parents", () => {
    const yaml =
      gatewayOf() +
      apiObject(
        "HTTPRoute",
        "r",
        `{ parentRefs: [{ name: gw }, { name: nobody }, { group: '', kind: Service, name: a }, { group: '', kind: Service, name: nobody }], rules: [${to("a")}] }`,
      );
    expect(routeOf(yaml)).toEqual([
      GOOD,
      "Accepted=False NoMatchingParent, ResolvedRefs=True ResolvedRefs",
      GOOD,
      "Accepted=False NoMatchingParent, ResolvedRefs=True ResolvedRefs",
    ]);
  });
});
