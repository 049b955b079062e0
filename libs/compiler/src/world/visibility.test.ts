import { describe, expect, it } from "vitest";
import { type NodeOptions, type ProxyView, pod, service, viewOf } from "../testing/mesh.ts";

const WORLD = [
  service("a", "10.0.0.1", ["http:80"]),
  service("b", "10.0.0.2", ["http:80"], { namespace: "prod" }),
  service("own", "10.0.0.3", ["http:80"], { namespace: "prod", exportTo: "." }),
  service("none", "10.0.0.4", ["http:80"], { namespace: "prod", exportTo: "~" }),
  service("named", "10.0.0.5", ["http:80"], { namespace: "prod", exportTo: "default,other" }),
].join("");

function object(
  kind: string,
  name: string,
  spec: string,
  namespace = "default",
  created = "2024-01-01T00:00:00Z",
): string {
  return `
apiVersion: networking.istio.io/v1
kind: ${kind}
metadata: { name: ${name}, namespace: ${namespace}, creationTimestamp: "${created}" }
spec: ${spec}
---`;
}
/** Short names of the services a proxy has clusters for. */
function seen(yaml: string, node: NodeOptions = {}): readonly string[] {
  return viewOf(WORLD + yaml, node)
    .names("cluster")
    .filter((name) => name.startsWith("outbound|"))
    .map((name) => name.split("|")[3]?.split(".")[0] ?? "");
}
const sidecar = (spec: string, namespace = "default") => object("Sidecar", "sc", spec, namespace);

describe("exportTo", () => {
  it.each([
    ["default", ["a", "b", "named"]],
    ["prod", ["a", "b", "own"]],
    ["other", ["a", "b", "named"]],
  ])("as seen from %s", (namespace, expected) => {
    expect(seen("", { namespace })).toEqual(expected);
  });

  it("the mesh's default holds where nothing is said", () => {
    const view = viewOf(WORLD, {}, { defaultServiceExportTo: ["."] });
    expect(view.names("cluster").filter((name) => name.includes("b.prod"))).toEqual([]);
  });

  it("hides virtual services and destination rules from other namespaces", () => {
    const rules = (exportTo: string) =>
      object(
        "VirtualService",
        "b",
        `{ hosts: [b.prod.svc.cluster.local], exportTo: [${exportTo}], http: [{ name: mine, route: [{ destination: { host: b } }] }] }`,
        "prod",
      ) + object("DestinationRule", "b", `{ host: b, exportTo: [${exportTo}], subsets: [{ name: v1 }] }`, "prod");
    const facts = (exportTo: string) => {
      const view = viewOf(WORLD + rules(exportTo));
      return [
        view.virtualHost("80", "b.prod.svc.cluster.local").routes[0]?.name,
        view.names("cluster").includes("outbound|80|v1|b.prod.svc.cluster.local"),
      ];
    };
    expect(facts("'*'")).toEqual(["mine", true]);
    expect(facts("'.'")).toEqual(["default", false]);
    expect(facts("default")).toEqual(["mine", true]);
  });
});

describe("Sidecar", () => {
  it.each([
    ["./*", ["a"]],
    ["*/*", ["a", "b", "named"]],
    ["prod/*", ["b", "named"]],
    ["*/b.prod.svc.cluster.local", ["b"]],
    ["*/*.prod.svc.cluster.local", ["b", "named"]],
    ["~/*", []],
  ])("egress hosts %s", (host, expected) => {
    expect(seen(sidecar(`{ egress: [{ hosts: ['${host}'] }] }`))).toEqual(expected);
  });

  it("without egress imports everything, and may close the mesh", () => {
    const view = viewOf(WORLD + sidecar("{ outboundTrafficPolicy: { mode: REGISTRY_ONLY } }"));
    expect(view.route("80").virtualHosts.at(-1)?.name).toBe("block_all");
    expect(view.names("cluster")).toContain("outbound|80||b.prod.svc.cluster.local");
  });

  it("one that selects the workload beats the namespace's, that beats the root's", () => {
    const all =
      object("Sidecar", "one", "{ workloadSelector: { labels: { app: x } }, egress: [{ hosts: ['prod/*'] }] }") +
      object("Sidecar", "all", "{ egress: [{ hosts: ['./*'] }] }") +
      object("Sidecar", "root", "{ egress: [{ hosts: ['~/*'] }] }", "istio-system");
    expect(seen(all, { labels: { app: "x" } })).toEqual(["b", "named"]);
    expect(seen(all, { labels: { app: "y" } })).toEqual(["a"]);
    expect(seen(all, { namespace: "other" })).toEqual([]);
  });

  it("does not bind gateways", () => {
    expect(seen(sidecar("{ egress: [{ hosts: ['./*'] }] }"), { kind: "router" })).toEqual(["a", "b", "named"]);
  });

  it("imports what an imported virtual service sends to", () => {
    const yaml =
      sidecar("{ egress: [{ hosts: ['./*'] }] }") +
      object(
        "VirtualService",
        "a",
        "{ hosts: [a], http: [{ mirror: { host: named.prod.svc.cluster.local }, route: [{ destination: { host: b.prod.svc.cluster.local } }] }] }",
      );
    expect(seen(yaml)).toEqual(["a", "b", "named"]);
  });

  it("names what is not imported in no name table", () => {
    const view = viewOf(WORLD + sidecar("{ egress: [{ hosts: ['./*'] }] }"));
    expect(Object.keys(view.nameTable().table)).toEqual(["a.default.svc.cluster.local"]);
  });
});

describe("destination rules", () => {
  const rule = (name: string, host: string, subset: string, namespace: string, created?: string) =>
    object("DestinationRule", name, `{ host: '${host}', subsets: [{ name: ${subset} }] }`, namespace, created);
  const subsets = (yaml: string, namespace = "default") =>
    viewOf(WORLD + yaml, { namespace })
      .names("cluster")
      .filter((name) => name.endsWith("|b.prod.svc.cluster.local"))
      .map((name) => name.split("|")[2])
      .filter((name) => name !== "");
  const B = "b.prod.svc.cluster.local";

  it.each([
    ["the client's namespace first", rule("x", B, "client", "default") + rule("x", B, "service", "prod"), ["client"]],
    ["then the service's", rule("x", B, "service", "prod") + rule("x", B, "root", "istio-system"), ["service"]],
    ["then the root's", rule("x", B, "root", "istio-system"), ["root"]],
    ["no other", rule("x", B, "stranger", "other"), []],
    ["a short name means the rule's own namespace", rule("x", "b", "short", "prod"), ["short"]],
    [
      "the exact host before a wildcard",
      rule("w", "*.cluster.local", "wild", "prod") + rule("x", B, "exact", "prod"),
      ["exact"],
    ],
    [
      "the longer wildcard",
      rule("w", "*.cluster.local", "wide", "prod") + rule("x", "*.prod.svc.cluster.local", "narrow", "prod"),
      ["narrow"],
    ],
    [
      "rules of one host are merged, the oldest first",
      rule("new", B, "second", "prod", "2024-02-01T00:00:00Z") +
        rule("old", B, "first", "prod", "2024-01-01T00:00:00Z"),
      ["first", "second"],
    ],
  ])("%s", (_title, yaml, expected) => {
    expect(subsets(yaml)).toEqual(expected);
  });
});

describe("virtual services", () => {
  const rule = (name: string, hosts: string, created: string) =>
    object(
      "VirtualService",
      name,
      `{ hosts: ${hosts}, http: [{ name: ${name}, route: [{ destination: { host: a } }] }] }`,
      "default",
      created,
    );
  const winner = (yaml: string, host = "a.default.svc.cluster.local") =>
    viewOf(WORLD + yaml).virtualHost("80", host).routes[0]?.name;

  it.each([
    [
      "the oldest for one host",
      rule("young", "[a]", "2024-02-01T00:00:00Z") + rule("old", "[a]", "2024-01-01T00:00:00Z"),
      "old",
    ],
    [
      "the exact host before a wildcard",
      rule("wild", "['*.cluster.local']", "2024-01-01T00:00:00Z") + rule("exact", "[a]", "2024-02-01T00:00:00Z"),
      "exact",
    ],
    [
      "the longest wildcard",
      rule("wide", "['*.cluster.local']", "2024-01-01T00:00:00Z") +
        rule("near", "['*.default.svc.cluster.local']", "2024-02-01T00:00:00Z"),
      "near",
    ],
  ])("%s", (_title, yaml, expected) => {
    expect(winner(yaml)).toBe(expected);
  });

  it("for hosts that no service has are served on port 80", () => {
    expect(winner(rule("x", "[shop.example.com]", "2024-01-01T00:00:00Z"), "shop.example.com")).toBe("x");
  });
});

describe("domains of a service", () => {
  const domains = (view: ProxyView) => view.route("80").virtualHosts[0]?.domains;

  it("are shorter in its own namespace", () => {
    const yaml = service("web", "10.0.0.9", ["http:80"]);
    expect(domains(viewOf(yaml))).toEqual([
      "web.default.svc.cluster.local",
      "web",
      "web.default.svc",
      "web.default",
      "10.0.0.9",
    ]);
    expect(domains(viewOf(yaml, { namespace: "other" }))).toEqual([
      "web.default.svc.cluster.local",
      "web.default.svc",
      "web.default",
      "10.0.0.9",
    ]);
  });

  it("of a headless one are those of its pods as well", () => {
    const yaml = `
apiVersion: v1
kind: Service
metadata: { name: web }
spec: { clusterIP: None, selector: { app: web }, ports: [{ name: http, port: 80 }] }
---${pod("web-0", "10.1.0.1", { app: "web" })}`;
    expect(domains(viewOf(yaml))).toContain("*.web.default.svc.cluster.local");
    expect(viewOf(yaml).nameTable().table["web.default.svc.cluster.local"]?.ips).toEqual(["10.1.0.1"]);
  });
});
