import { Cluster_DiscoveryType } from "@lateen/proto/envoy/config/cluster/v3/cluster";
import { clusterSpec } from "@lateen/proxy";
import { describe, expect, it } from "vitest";
import { chainsOf, compilerFor, type NodeOptions, objectsFrom, service, viewOf } from "../testing/mesh.ts";
import { run, simulate } from "../testing/simulate.ts";

const sidecar = (spec: string) => `
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: { name: s }
spec: ${spec}
---`;
const MESH = [
  service("web", "10.0.0.1", ["http:80:8080", "tcp:3306:3306"]),
  service("other", "10.0.0.2", ["http:80", "http-b:81", "tcp:3306"], { namespace: "team" }),
].join("");
const NODE: NodeOptions = { labels: { app: "web" }, ports: [{ containerPort: 8080 }, { containerPort: 9000 }] };
const SELECTS = "workloadSelector: { labels: { app: web } }";

describe("egress listeners with a port", () => {
  const yaml =
    MESH +
    sidecar("{ egress: [{ port: { number: 80, protocol: HTTP, name: http }, hosts: [team/*] }, { hosts: [./*] }] }");
  const ask = (port: string, host: string) => simulate(viewOf(yaml).route(port), { host });

  it("decide alone on the services of that port", () => {
    expect(ask("80", "other.team")).toBe("→ outbound|80||other.team.svc.cluster.local");
    expect(ask("80", "web")).toBe("→ PassthroughCluster");
  });

  it("leave other ports to the listener without one", () => {
    expect(viewOf(yaml).names("route")).not.toContain("81");
    expect(viewOf(yaml).names("listener")).toContain("10.0.0.1_3306");
    expect(viewOf(yaml).names("listener")).not.toContain("10.0.0.2_3306");
  });

  it.each([
    ["NONE", "bind: 127.0.0.9", "127.0.0.9_80", true],
    ["NONE", "", "127.0.0.1_80", true],
    ["DEFAULT", "bind: 127.0.0.9", "127.0.0.9_80", false],
    ["DEFAULT", "", "0.0.0.0_80", false],
  ])("capture %s %s is at %s", (captureMode, bind, name, bound) => {
    const listener = `{ port: { number: 80, protocol: HTTP, name: http }, captureMode: ${captureMode}, ${bind}${bind ? "," : ""} hosts: ["*/*"] }`;
    const view = viewOf(MESH + sidecar(`{ egress: [${listener}] }`));
    const made = view.listener(name);
    expect([chainsOf(made), made.bindToPort ?? true]).toEqual([["* → http rds 80"], bound]);
  });

  it("a TCP listener with an address is the only one of its port", () => {
    const listener = `{ port: { number: 3306, protocol: TCP, name: tcp }, bind: 127.0.0.1, captureMode: NONE, hosts: [./*] }`;
    const view = viewOf(MESH + sidecar(`{ egress: [${listener}] }`));
    expect(view.names("listener").filter((name) => name.endsWith("_3306"))).toEqual(["127.0.0.1_3306"]);
    expect(chainsOf(view.listener("127.0.0.1_3306"))).toEqual(["* → tcp outbound|3306||web.default.svc.cluster.local"]);
  });
});

describe("an egress proxy", () => {
  const yaml =
    MESH +
    sidecar(
      "{ egress: [{ hosts: [./*] }], outboundTrafficPolicy: { mode: ALLOW_ANY, egressProxy: { host: other.team.svc.cluster.local, port: { number: 80 } } } }",
    );
  const PROXY = "outbound|80||other.team.svc.cluster.local";

  it("takes what nobody knows, and is imported for it", () => {
    const view = viewOf(yaml);
    expect(view.names("cluster")).toContain(PROXY);
    expect(chainsOf(view.listener("virtualOutbound"))).toContain(`* → tcp ${PROXY}`);
    expect(simulate(view.route("80"), { host: "unknown.example" })).toBe(`→ ${PROXY}`);
  });
});

describe("ingress listeners", () => {
  const ingress = (listener: string, more = "") => sidecar(`{ ${SELECTS}, ingress: [${listener}] ${more} }`);
  const HTTP = "port: { number: 9000, protocol: HTTP, name: http }";
  const inbound = (yaml: string, node: NodeOptions = NODE) =>
    chainsOf(viewOf(MESH + yaml, node).listener("virtualInbound")).filter((line) => line.startsWith("port "));

  it("take the place of the services' ports", () => {
    expect(inbound("").some((line) => line.startsWith("port 8080"))).toBe(true);
    expect(inbound(ingress(`{ ${HTTP} }`)).map((line) => line.split(" ").slice(0, 2).join(" "))).toEqual([
      "port 15006",
      "port 9000",
      "port 9000",
    ]);
  });

  it("are those of the selected workload", () => {
    const node = { ...NODE, labels: { app: "web", other: "x" } };
    expect(inbound(ingress(`{ ${HTTP} }`), { ...NODE, labels: { app: "b" } })).toHaveLength(1);
    expect(inbound(ingress(`{ ${HTTP} }`), node)).toHaveLength(3);
  });

  const clusterOf = (endpoint: string, node: NodeOptions) =>
    viewOf(MESH + ingress(`{ ${HTTP}, defaultEndpoint: "${endpoint}" }`), node).cluster("inbound|9000||");

  it.each([
    ["127.0.0.1:8080", Cluster_DiscoveryType.STATIC],
    ["unix:///run/app", Cluster_DiscoveryType.STATIC],
    ["0.0.0.0:8080", Cluster_DiscoveryType.ORIGINAL_DST],
  ])("Envoy finds the application at %s", (endpoint, type) => {
    const cluster = clusterOf(endpoint, { ...NODE, envoy: true });
    expect(cluster.clusterDiscoveryType).toEqual({ $case: "type", value: type });
  });

  it("our own proxy finds it there, too, where the kernel redirects what comes to the pod", () => {
    const cluster = clusterOf("127.0.0.1:8080", { ...NODE, metadata: { INTERCEPTION_MODE: "REDIRECT" } });
    expect(cluster.clusterDiscoveryType).toEqual({ $case: "type", value: Cluster_DiscoveryType.STATIC });
  });

  it.each(["127.0.0.1:8080", "0.0.0.0:8080"])("our own proxy finds it behind the container port: %s", (endpoint) => {
    expect(clusterSpec(clusterOf(endpoint, NODE), run()).spec).toMatchObject({
      discovery: "originalDst",
      portOverride: 8080,
    });
  });

  it("an application behind a Unix socket is withheld from our own proxy", () => {
    const yaml = MESH + ingress(`{ ${HTTP}, defaultEndpoint: "unix:///run/app" }`);
    expect(viewOf(yaml, NODE).names("cluster")).not.toContain("inbound|9000||");
    expect(compilerFor(objectsFrom(yaml)).warnings()).toMatchObject([{ code: "LTN3109" }]);
  });

  it("have an address of their own when they say so", () => {
    const view = viewOf(MESH + ingress(`{ ${HTTP}, bind: 127.0.0.1, captureMode: NONE }`), NODE);
    const listener = view.listener("127.0.0.1_9000");
    expect(chainsOf(listener).at(-1)).toBe("raw_buffer → http inbound|9000||");
    expect(listener.bindToPort ?? true).toBe(true);
  });

  it.each([
    ["its own pool", "connectionPool: { tcp: { maxConnections: 5 } }", 5],
    ["the workload's pool", "", 7],
  ])("limit connections by %s", (_title, pool, expected) => {
    const more = ", inboundConnectionPool: { tcp: { maxConnections: 7 } }";
    const view = viewOf(MESH + ingress(`{ ${HTTP}, ${pool} }`, more), NODE);
    expect(view.cluster("inbound|9000||").circuitBreakers?.thresholds[0]?.maxConnections).toBe(expected);
  });
});
