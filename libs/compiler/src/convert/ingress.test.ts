import { defaultIngressSettings } from "@lateen/mesh-model";
import { describe, expect, it } from "vitest";
import { tlsSecret } from "../testing/certificates.ts";
import { ask } from "../testing/gateway-api.ts";
import { compilerFor, type NodeOptions, objectsFrom, service, viewOf } from "../testing/mesh.ts";

const NODE: NodeOptions = { kind: "router", namespace: "istio-system", labels: { istio: "ingressgateway" } };
const SERVICES =
  ["a", "b", "c"].map((name, index) => service(name, `10.0.0.${index + 1}`, ["http:80"])).join("") +
  service("istio-ingressgateway", "10.0.0.9", ["http:80:8080", "https:443:8443"], {
    namespace: "istio-system",
    selector: { istio: "ingressgateway" },
  });

interface Options {
  readonly created?: string;
  readonly annotations?: string;
  readonly ingressClass?: string;
}
function ingress(name: string, spec: string, options: Options = {}): string {
  const { created = "2024-01-01T00:00:00Z", annotations = "{}", ingressClass = "ingressClassName: istio," } = options;
  return `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: ${name}, creationTimestamp: "${created}", annotations: ${annotations} }
spec: { ${ingressClass} ${spec} }
---`;
}
const backend = (name: string, port = "number: 80") => `{ service: { name: ${name}, port: { ${port} } } }`;
const path = (pathType: string, text: string, name: string) =>
  `{ pathType: ${pathType}, path: '${text}', backend: ${backend(name)} }`;
const rules = (...paths: readonly string[]) => `rules: [{ http: { paths: [${paths.join(", ")}] } }]`;
const asked = (yaml: string, url: string) => ask(viewOf(SERVICES + yaml, NODE), `GET ${url}`, "http.8080");

describe("a path", () => {
  it.each([
    ["Exact", "/foo", "/foo", true],
    ["Exact", "/foo", "/foo/", false],
    ["Exact", "/foo", "/foo/bar", false],
    ["Prefix", "/", "/any", true],
    ["Prefix", "/foo", "/foo", true],
    ["Prefix", "/foo", "/foo/bar", true],
    ["Prefix", "/foo/", "/foo", true],
    ["Prefix", "/foo", "/foobar", false],
    ["ImplementationSpecific", "", "/any", true],
    ["ImplementationSpecific", "/*", "/any", true],
    ["ImplementationSpecific", "/foo/*", "/foo/bar", true],
    ["ImplementationSpecific", "/foo.*", "/foo/bar", true],
    ["ImplementationSpecific", "/foo", "/foo", true],
    ["ImplementationSpecific", "/foo", "/foo/bar", false],
  ])("%s %j at %s: %s", (type, text, target, expected) => {
    expect(asked(ingress("i", rules(path(type, text, "a"))), `x.com${target}`)).toBe(expected ? "→ a" : "404 no route");
  });

  it("that is longer comes first, and the exact one of two", () => {
    const yaml = ingress(
      "i",
      rules(
        path("Prefix", "/", "c"),
        path("Prefix", "/foo", "b"),
        path("Exact", "/foo", "a"),
        path("Prefix", "/foo/bar", "c"),
      ),
    );
    expect(["/foo", "/foo/x", "/foo/bar/x", "/y"].map((target) => asked(yaml, `x.com${target}`))).toEqual([
      "→ a",
      "→ b",
      "→ c",
      "→ c",
    ]);
  });
});

describe("hosts", () => {
  const host = (name: string, to: string) => `{ host: '${name}', http: { paths: [${path("Prefix", "/", to)}] } }`;

  it("are exact, wildcards, or all", () => {
    const yaml = ingress(
      "i",
      `rules: [${host("x.com", "a")}, ${host("*.y.com", "b")}, { http: { paths: [${path("Prefix", "/", "c")}] } }]`,
    );
    expect(["x.com/", "z.y.com/", "other.com/"].map((url) => asked(yaml, url))).toEqual(["→ a", "→ b", "→ c"]);
  });

  it("of several Ingress are one table, the older first where they are equal", () => {
    const young = ingress(
      "a",
      `rules: [{ host: x.com, http: { paths: [${path("Prefix", "/p", "a")}, ${path("Prefix", "/", "a")}] } }]`,
    );
    const old = ingress("z", `rules: [{ host: x.com, http: { paths: [${path("Prefix", "/", "b")}] } }]`, {
      created: "2023-01-01T00:00:00Z",
    });
    expect(asked(young + old, "x.com/p")).toBe("→ a");
    expect(asked(young + old, "x.com/q")).toBe("→ b");
  });

  it("the default backend takes what nothing else takes", () => {
    const yaml = ingress(
      "i",
      `defaultBackend: ${backend("c")}, rules: [{ host: x.com, http: { paths: [${path("Exact", "/a", "a")}] } }]`,
    );
    expect(["x.com/a", "x.com/b", "y.com/"].map((url) => asked(yaml, url))).toEqual(["→ a", "→ c", "→ c"]);
  });
});

describe("backends", () => {
  it.each([
    [backend("a"), "→ a"],
    [backend("a", "name: http"), "→ a"],
    [backend("a", "name: grpc"), "503 "],
    [backend("a", "number: 81"), "503 "],
    [backend("nobody"), "503 "],
  ])("%s: %s", (text, expected) => {
    expect(asked(ingress("i", `defaultBackend: ${text}`), "x.com/")).toBe(expected);
  });
});

describe("the class", () => {
  const all = rules(path("Prefix", "/", "a"));
  const ingressClass = (controller: string) => `
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: { name: own }
spec: { controller: ${controller} }
---`;

  it.each([
    ["istio", ingress("i", all), true],
    ["none", ingress("i", all, { ingressClass: "" }), false],
    ["another", ingress("i", all, { ingressClass: "ingressClassName: nginx," }), false],
    [
      "by annotation",
      ingress("i", all, { ingressClass: "", annotations: "{ kubernetes.io/ingress.class: istio }" }),
      true,
    ],
    ["another by annotation", ingress("i", all, { annotations: "{ kubernetes.io/ingress.class: nginx }" }), false],
    [
      "of the mesh's controller",
      ingressClass("istio.io/ingress-controller") + ingress("i", all, { ingressClass: "ingressClassName: own," }),
      true,
    ],
    [
      "of another controller",
      ingressClass("example.com/other") + ingress("i", all, { ingressClass: "ingressClassName: own," }),
      false,
    ],
  ])("%s: %s", (_title, yaml, served) => {
    expect(viewOf(SERVICES + yaml, NODE).names("listener")).toEqual(served ? ["0.0.0.0_8080"] : []);
  });
});

describe("the mesh configuration", () => {
  const all = rules(path("Prefix", "/", "a"));
  const none = ingress("i", all, { ingressClass: "" });
  const other = ingress("i", all, { ingressClass: "ingressClassName: edge," });

  it.each([
    ["STRICT leaves those of no class alone", none, {}, false],
    ["DEFAULT takes those of no class", none, { controllerMode: "DEFAULT" as const }, true],
    ["OFF takes none", ingress("i", all), { controllerMode: "OFF" as const }, false],
    ["names the class", other, { ingressClass: "edge" }, true],
    ["names the gateway's pods", ingress("i", all), { selector: "other" }, false],
  ])("%s", (_title, yaml, settings, served) => {
    const view = viewOf(SERVICES + yaml, NODE, { ingress: { ...defaultIngressSettings, ...settings } });
    expect(view.names("listener")).toEqual(served ? ["0.0.0.0_8080"] : []);
  });
});

describe("TLS", () => {
  const yaml = ingress("i", `tls: [{ hosts: [x.com], secretName: cert }], ${rules(path("Prefix", "/", "a"))}`);
  const secret = (namespace: string) => tlsSecret("cert", namespace);

  it.each([
    ["default", "kubernetes-gateway://default/cert"],
    ["istio-system", "kubernetes://cert"],
  ])("takes the Secret of namespace %s", (namespace, name) => {
    const view = viewOf(SERVICES + secret(namespace) + yaml, NODE);
    expect(view.names("secret")).toEqual([name]);
    expect(view.listener("0.0.0.0_8443").filterChains[0]?.filterChainMatch?.serverNames).toEqual(["x.com"]);
  });
});

it("the status says where it is served", () => {
  const compiler = compilerFor(objectsFrom(SERVICES + ingress("i", rules(path("Prefix", "/", "a")))));
  expect(compiler.status("Ingress/default/i" as never)).toEqual({ loadBalancer: { ingress: [{ ip: "10.0.0.9" }] } });
});
