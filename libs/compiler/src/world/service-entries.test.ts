import { describe, expect, it } from "vitest";
import { chainsOf, pod, service, viewOf } from "../testing/mesh.ts";

const entry = (name: string, spec: string, namespace = "default", created = "2026-01-01T00:00:00Z") => `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: ${name}, namespace: ${namespace}, creationTimestamp: "${created}" }
spec: ${spec}
---`;
const static_ = (port: string, endpoint: string, extra = "") =>
  `{ hosts: [a.example.com], resolution: STATIC, ports: [${port}], endpoints: [{ address: ${endpoint} }] ${extra} }`;
const HTTP = "{ number: 80, name: http, protocol: HTTP }";
const TLS = "{ number: 443, name: tls, protocol: TLS }";

describe("several entries of one host", () => {
  it("in one namespace are one service, endpoints staying with their ports", () => {
    const view = viewOf(entry("one", static_(HTTP, "1.1.1.1")) + entry("two", static_(TLS, "2.2.2.2")));
    expect(view.endpoints("outbound|80||a.example.com")).toEqual(["1.1.1.1:80"]);
    expect(view.endpoints("outbound|443||a.example.com")).toEqual(["2.2.2.2:443"]);
  });

  it("of one port have all the endpoints, whatever the port is called", () => {
    const other = "{ number: 80, name: http-web, protocol: HTTP }";
    const view = viewOf(entry("one", static_(HTTP, "1.1.1.1")) + entry("two", static_(other, "2.2.2.2")));
    expect(view.endpoints("outbound|80||a.example.com")).toEqual(["1.1.1.1:80", "2.2.2.2:80"]);
  });

  it("find workloads by each selector", () => {
    const selecting = (app: string) =>
      `{ hosts: [a.example.com], resolution: STATIC, location: MESH_INTERNAL, ports: [${HTTP}], workloadSelector: { labels: { app: ${app} } } }`;
    const yaml = [
      entry("one", selecting("a")),
      entry("two", selecting("b")),
      pod("a-1", "10.1.0.1", { app: "a" }),
      pod("b-1", "10.1.0.2", { app: "b" }),
    ].join("");
    expect(viewOf(yaml).endpoints("outbound|80||a.example.com")).toEqual(["10.1.0.1:80+", "10.1.0.2:80+"]);
  });

  const THREE = [
    entry("old", static_(HTTP, "1.1.1.1"), "old", "2025-01-01T00:00:00Z"),
    entry("own", static_(HTTP, "2.2.2.2"), "team"),
    entry("private", static_(HTTP, "3.3.3.3", ", exportTo: [.]"), "secret", "2024-01-01T00:00:00Z"),
  ].join("");
  it.each([
    ["team", "2.2.2.2:80"],
    ["default", "1.1.1.1:80"],
    ["secret", "3.3.3.3:80"],
  ])("in several namespaces: clients of %s reach %s", (namespace, expected) => {
    const view = viewOf(THREE, { namespace });
    expect(view.endpoints("outbound|80||a.example.com")).toEqual([expected]);
    expect(view.names("cluster").filter((name) => name.endsWith("a.example.com"))).toHaveLength(1);
  });

  it("do not displace a service of Kubernetes", () => {
    const spec = static_(HTTP, "1.1.1.1").replace("a.example.com", "web.default.svc.cluster.local");
    const yaml =
      service("web", "10.0.0.1", ["http:80"]) + pod("web-1", "10.1.0.1", { app: "web" }) + entry("x", spec, "team");
    const view = viewOf(yaml, { namespace: "team" });
    expect(view.endpoints("outbound|80||web.default.svc.cluster.local")).toEqual(["10.1.0.1:80+"]);
  });
});

describe("addresses that are given", () => {
  const DATABASES = ["a", "b"]
    .map((name) =>
      entry(
        name,
        `{ hosts: [${name}.db.example], resolution: DNS, ports: [{ number: 5432, name: tcp, protocol: TCP }] }`,
      ),
    )
    .join("");

  it("tell hosts of one TCP port apart, for proxies that answer DNS", () => {
    const view = viewOf(DATABASES);
    const { table } = view.nameTable();
    const [a, b] = [table["a.db.example"]?.ips[0], table["b.db.example"]?.ips[0]];
    expect(a).toMatch(/^240\.240\./);
    expect(chainsOf(view.listener(`${a}_5432`))).toEqual(["* → tcp outbound|5432||a.db.example"]);
    expect(chainsOf(view.listener(`${b}_5432`))).toEqual(["* → tcp outbound|5432||b.db.example"]);
  });

  it("are not used by Envoy, whose clients resolve the real ones", () => {
    const view = viewOf(DATABASES, { envoy: true });
    expect(view.names("listener").filter((name) => name.endsWith("_5432"))).toEqual(["0.0.0.0_5432"]);
  });
});

it("external addresses of a Service lead to it as well", () => {
  const yaml = service("web", "10.0.0.1", ["tcp:3306"]).replace("spec: {", "spec: { externalIPs: [192.0.2.7],");
  expect(viewOf(yaml).names("listener")).toEqual(expect.arrayContaining(["10.0.0.1_3306", "192.0.2.7_3306"]));
});
