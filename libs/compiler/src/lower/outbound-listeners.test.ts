import { describe, expect, it } from "vitest";
import { chainsOf, httpManagerOf, ms, pod, service, tcpProxyOf, viewOf } from "../testing/mesh.ts";

const HOST = (name: string) => `${name}.default.svc.cluster.local`;

function entry(name: string, spec: string): string {
  return `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: ${name} }
spec: ${spec}
---`;
}
function virtualService(spec: string): string {
  return `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: rule }
spec: ${spec}
---`;
}

describe("which listeners a port gets", () => {
  it.each([
    ["http", ["0.0.0.0_80"]],
    ["http2", ["10.0.0.1_80"]],
    ["tcp", ["10.0.0.1_80"]],
    ["https", ["10.0.0.1_80"]],
    ["mysql", ["10.0.0.1_80"]],
    ["", ["10.0.0.1_80"]],
  ])("declared %s", (name, expected) => {
    expect(viewOf(service("web", "10.0.0.1", [`${name}:80`])).names("listener")).toEqual([
      ...expected,
      "virtualOutbound",
      "virtualInbound",
    ]);
  });

  it("HTTP/2 and gRPC share the HTTP listener of proxies that can read them", () => {
    const view = viewOf(service("web", "10.0.0.1", ["grpc:80"]), { envoy: true });
    expect(view.names("listener")).toContain("0.0.0.0_80");
  });

  it("a port of no declared protocol looks at the bytes", () => {
    const view = viewOf(service("web", "10.0.0.1", [":80"]));
    expect(chainsOf(view.listener("10.0.0.1_80"))).toEqual([
      `raw_buffer http/1.0,http/1.1,h2c → http rds ${HOST("web")}:80`,
      `* → tcp outbound|80||${HOST("web")}`,
    ]);
    expect(view.names("route")).toContain(`${HOST("web")}:80`);
    expect(view.route(`${HOST("web")}:80`).virtualHosts.map(({ domains }) => domains)).toEqual([["*"]]);
  });

  it("a headless TCP service listens on every pod's address", () => {
    const headless = `
apiVersion: v1
kind: Service
metadata: { name: db }
spec: { clusterIP: None, selector: { app: db }, ports: [{ name: tcp, port: 5432 }] }
---${pod("db-0", "10.1.0.5", { app: "db" })}${pod("db-1", "10.1.0.6", { app: "db" }, { ready: false })}`;
    expect(viewOf(headless).names("listener")).toEqual(["10.1.0.5_5432", "virtualOutbound", "virtualInbound"]);
  });

  it("the oldest service keeps an address that two claim", () => {
    const yaml =
      entry(
        "a",
        "{ hosts: [a.example.com], addresses: [192.0.2.1], ports: [{ number: 99, name: t, protocol: TCP }] }",
      ) +
      entry("b", "{ hosts: [b.example.com], addresses: [192.0.2.1], ports: [{ number: 99, name: t, protocol: TCP }] }");
    expect(chainsOf(viewOf(yaml).listener("192.0.2.1_99"))).toEqual(["* → tcp outbound|99||a.example.com"]);
  });
});

describe("one port, many kinds", () => {
  it("HTTP, SNI and everything else share the wildcard listener", () => {
    const yaml =
      service("web", "10.0.0.1", ["http:443"]) +
      entry(
        "tls",
        "{ hosts: [api.example.com, '*.wild.example.com'], resolution: NONE, ports: [{ number: 443, name: tls, protocol: TLS }] }",
      );
    expect(chainsOf(viewOf(yaml).listener("0.0.0.0_443"))).toEqual([
      "*.wild.example.com → tcp outbound|443||*.wild.example.com",
      "api.example.com → tcp outbound|443||api.example.com",
      "raw_buffer http/1.0,http/1.1,h2c → http rds 443",
      "* → tcp PassthroughCluster",
    ]);
  });

  it("what is unknown is dropped when the mesh is closed", () => {
    const yaml = entry(
      "tls",
      "{ hosts: [api.example.com], resolution: NONE, ports: [{ number: 443, name: tls, protocol: TLS }] }",
    );
    const view = viewOf(yaml, {}, { outboundTrafficPolicy: { mode: "REGISTRY_ONLY" } });
    expect(chainsOf(view.listener("0.0.0.0_443")).at(-1)).toBe("* → tcp BlackHoleCluster");
    expect(chainsOf(view.listener("virtualOutbound"))).toEqual([
      "port 15001 → tcp BlackHoleCluster",
      "* → tcp BlackHoleCluster",
    ]);
  });

  it("an open mesh lets unknown traffic through, but not to the capture port itself", () => {
    expect(chainsOf(viewOf("").listener("virtualOutbound"))).toEqual([
      "port 15001 → tcp BlackHoleCluster",
      "* → tcp PassthroughCluster",
    ]);
  });

  it("CIDRs match by prefix, addressless TCP takes the rest of the port; no prefix twice", () => {
    const ports = "ports: [{ number: 9999, name: t, protocol: TCP }]";
    const yaml =
      entry("a", `{ hosts: [a.example.com], addresses: [192.0.2.0/24], resolution: NONE, ${ports} }`) +
      entry("b", `{ hosts: [b.example.com], addresses: [192.0.2.0/24, 198.51.100.0/24], resolution: NONE, ${ports} }`) +
      entry("c", `{ hosts: [c.example.com], resolution: NONE, ${ports} }`);
    expect(chainsOf(viewOf(yaml).listener("0.0.0.0_9999"))).toEqual([
      "192.0.2.0/24 → tcp outbound|9999||a.example.com",
      "198.51.100.0/24 → tcp outbound|9999||b.example.com",
      "* → tcp outbound|9999||c.example.com",
    ]);
  });
});

describe("virtual services for bytes", () => {
  const DB = service("db", "10.0.0.9", ["tcp:3306"]);

  it("TCP routes by weight", () => {
    const rule = virtualService(
      "{ hosts: [db], tcp: [{ match: [{ port: 3306 }], route: [{ destination: { host: db, subset: a }, weight: 80 }, { destination: { host: db, subset: b }, weight: 20 }] }] }",
    );
    expect(chainsOf(viewOf(DB + rule).listener("10.0.0.9_3306"))).toEqual([
      `* → tcp 80×outbound|3306|a|${HOST("db")} 20×outbound|3306|b|${HOST("db")}`,
    ]);
  });

  it.each([
    ["{ port: 99 }", "outbound|3306||"],
    ["{ sourceLabels: { app: x } }", "outbound|3306||"],
    ["{ sourceLabels: { app: client } }", "outbound|3306|v2|"],
    ["{ sourceNamespace: default }", "outbound|3306|v2|"],
    ["{ gateways: [edge] }", "outbound|3306||"],
  ])("a TCP match on %s is decided per client", (match, cluster) => {
    const rule = virtualService(
      `{ hosts: [db], tcp: [{ match: [${match}], route: [{ destination: { host: db, subset: v2 } }] }] }`,
    );
    const view = viewOf(DB + rule, { labels: { app: "client" } });
    expect(chainsOf(view.listener("10.0.0.9_3306"))).toEqual([`* → tcp ${cluster}${HOST("db")}`]);
  });

  it("destination subnets become prefix matches before the rest", () => {
    const rule = virtualService(
      "{ hosts: [db], tcp: [{ match: [{ destinationSubnets: [10.0.0.0/30] }], route: [{ destination: { host: db, subset: near } }] }] }",
    );
    expect(chainsOf(viewOf(DB + rule).listener("10.0.0.9_3306"))).toEqual([
      `10.0.0.0/30 → tcp outbound|3306|near|${HOST("db")}`,
      `* → tcp outbound|3306||${HOST("db")}`,
    ]);
  });

  it("TLS routes by server name, in front of the service's own", () => {
    const yaml =
      entry(
        "tls",
        "{ hosts: [api.example.com], resolution: NONE, ports: [{ number: 443, name: tls, protocol: TLS }] }",
      ) +
      service("egress", "10.0.0.2", ["tls:443"]) +
      virtualService(
        "{ hosts: [api.example.com], tls: [{ match: [{ port: 443, sniHosts: [api.example.com] }], route: [{ destination: { host: egress, port: { number: 443 } } }] }] }",
      );
    expect(chainsOf(viewOf(yaml).listener("0.0.0.0_443"))).toEqual([
      `api.example.com → tcp outbound|443||${HOST("egress")}`,
      "* → tcp PassthroughCluster",
    ]);
  });

  it("no two chains are for the same: an Envoy would refuse the listener", () => {
    const yaml =
      entry(
        "tls",
        "{ hosts: [api.example.com], addresses: [192.0.2.1, 192.0.2.1], resolution: STATIC, endpoints: [{ address: 192.0.2.9 }], ports: [{ number: 443, name: tls, protocol: TLS }] }",
      ) +
      service("egress", "10.0.0.2", ["tls:443"]) +
      virtualService(`{ hosts: [api.example.com, db], tls: [
        { match: [{ sniHosts: [api.example.com, API.example.com], destinationSubnets: [10.1.2.3/8, 10.0.0.0/8] }], route: [{ destination: { host: egress, subset: near } }] },
        { match: [{ sniHosts: [api.example.com], destinationSubnets: [10.9.9.9/8] }], route: [{ destination: { host: egress, subset: never } }] },
        { match: [{ sniHosts: [api.example.com, api.example.com] }], route: [{ destination: { host: egress } }] }],
        tcp: [{ match: [{ destinationSubnets: [10.0.0.0/30, 10.0.0.1/30] }, { destinationSubnets: [10.0.0.2/30] }], route: [{ destination: { host: db, subset: near } }] }] }`);
    expect(chainsOf(viewOf(DB + yaml).listener("192.0.2.1_443"))).toEqual([
      `10.1.2.3/8 api.example.com → tcp outbound|443|near|${HOST("egress")}`,
      `api.example.com → tcp outbound|443||${HOST("egress")}`,
      "* → tcp outbound|443||api.example.com",
    ]);
    expect(chainsOf(viewOf(DB + yaml).listener("10.0.0.9_3306"))).toEqual([
      `10.0.0.0/30 → tcp outbound|3306|near|${HOST("db")}`,
      `* → tcp outbound|3306||${HOST("db")}`,
    ]);
  });

  it("an idle timeout of the destination rule holds for the connection", () => {
    const rule = `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: db }
spec: { host: db, trafficPolicy: { connectionPool: { tcp: { idleTimeout: 30s } } } }`;
    const [chain] = viewOf(DB + rule).listener("10.0.0.9_3306").filterChains;
    expect(ms(tcpProxyOf(chain?.filters[0]).idleTimeout)).toBe(30_000);
  });
});

describe("the HTTP connection manager of a client", () => {
  it("has its filters in order and its routes over RDS", () => {
    const [chain] = viewOf(service("web", "10.0.0.1", ["http:80"])).listener("0.0.0.0_80").filterChains;
    const manager = httpManagerOf(chain?.filters[0]);
    expect(manager.httpFilters.map(({ name }) => name)).toEqual([
      "istio.peer_metadata",
      "envoy.filters.http.fault",
      "envoy.filters.http.cors",
      "istio.stats",
      "envoy.filters.http.router",
    ]);
    expect(manager.serverName).toBe("");
    expect(manager.normalizePath).toBe(true);
  });

  it("offers Envoy no extensions that only our proxies run", () => {
    const [chain] = viewOf(service("web", "10.0.0.1", ["http:80"]), { envoy: true }).listener(
      "0.0.0.0_80",
    ).filterChains;
    expect(httpManagerOf(chain?.filters[0]).httpFilters.map(({ name }) => name)).toEqual([
      "envoy.filters.http.fault",
      "envoy.filters.http.cors",
      "envoy.filters.http.router",
    ]);
  });
});
