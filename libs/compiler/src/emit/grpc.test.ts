import { Cluster } from "@lateen/proto/envoy/config/cluster/v3/cluster";
import { Node } from "@lateen/proto/envoy/config/core/v3/base";
import { ClusterLoadAssignment } from "@lateen/proto/envoy/config/endpoint/v3/endpoint";
import { Listener } from "@lateen/proto/envoy/config/listener/v3/listener";
import { RouteConfiguration } from "@lateen/proto/envoy/config/route/v3/route";
import { HttpConnectionManager } from "@lateen/proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager";
import { describe, expect, it } from "vitest";
import { nodeFromProto } from "../node.ts";
import { typeUrls } from "../resource.ts";
import {
  compilerFor,
  downstreamTlsOf,
  httpManagerOf,
  objectsFrom,
  pod,
  service,
  upstreamTlsOf,
} from "../testing/mesh.ts";

const HOST = "echo.default.svc.cluster.local";
const WORLD =
  service("echo", "10.0.0.1", ["grpc:7070"]) +
  pod("echo-1", "10.1.0.1", { app: "echo", version: "v1" }) +
  pod("echo-2", "10.1.0.2", { app: "echo", version: "v2" });
const SUBSETS = `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: echo }
spec:
  host: echo
  TRAFFIC
  subsets:
    - { name: v1, labels: { version: v1 } }
    - { name: v2, labels: { version: v2 } }
---`;
const subsets = (traffic = "") => SUBSETS.replace("TRAFFIC", traffic);
const rules = (http: string) => `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: echo }
spec: { hosts: [echo], http: ${http} }
---`;

function gets(yaml: string) {
  const compiler = compilerFor(objectsFrom(WORLD + yaml));
  const metadata = { NAMESPACE: "default", GENERATOR: "grpc", LABELS: { app: "client" } };
  const node = nodeFromProto(
    Node.fromPartial({ id: "sidecar~10.1.0.9~c.default~default.svc.cluster.local", metadata }),
  );
  if (!node.ok) throw new Error(node.error);
  const find = (type: keyof typeof typeUrls, name: string) =>
    compiler.resources(node.value, typeUrls[type], new Set([name])).get(name)?.any.value;
  const must = (type: keyof typeof typeUrls, name: string) => {
    const value = find(type, name);
    if (value === undefined) throw new Error(`no ${type} ${name}`);
    return value;
  };
  return {
    find,
    listener: (name: string) => Listener.decode(must("listener", name)),
    route: (name: string) => RouteConfiguration.decode(must("route", name)),
    cluster: (name: string) => Cluster.decode(must("cluster", name)),
    endpoints: (name: string) => ClusterLoadAssignment.decode(must("endpoint", name)),
  };
}
const ECHO = (subset = "") => `outbound|7070|${subset}|${HOST}`;

describe("a target", () => {
  it.each([`${HOST}:7070`, "echo:7070", "echo.default:7070", "echo.default.svc:7070"])("%s is found", (name) => {
    const { apiListener } = gets("").listener(name);
    const manager = HttpConnectionManager.decode(apiListener?.apiListener?.value ?? new Uint8Array());
    expect(manager.routeSpecifier).toMatchObject({ $case: "rds", value: { routeConfigName: ECHO() } });
    expect(manager.httpFilters.map(({ name: filter }) => filter)).toEqual([
      "envoy.filters.http.fault",
      "envoy.filters.http.router",
    ]);
  });
  it.each(["echo:1", "echo", "nobody:7070", ""])("%s is not", (name) => {
    expect(gets("").find("listener", name)).toBeUndefined();
  });
});

describe("routes", () => {
  const routesOf = (http: string) => gets(subsets() + rules(http)).route(ECHO()).virtualHosts[0]!;

  it("are found by the target's own name and every other of the service", () => {
    expect(routesOf("[{ route: [{ destination: { host: echo } }] }]").domains).toEqual(
      expect.arrayContaining([`${HOST}:7070`, HOST, "echo:7070"]),
    );
  });

  it("carry weights, methods, headers and timeouts as gRPC reads them", () => {
    const { routes } = routesOf(`[
      { match: [{ uri: { prefix: /shop.Cart/ }, headers: { x-user: { exact: ann } } }], timeout: 2s, retries: { attempts: 0 },
        route: [{ destination: { host: echo, subset: v1 }, weight: 90 }, { destination: { host: echo, subset: v2 }, weight: 10 }] },
      { match: [{ queryParams: { x: { exact: y } } }], route: [{ destination: { host: echo } }] },
      { redirect: { uri: /x } }]`);
    expect(routes).toHaveLength(1);
    const [route] = routes;
    expect(route?.match?.headers[0]?.headerMatchSpecifier).toEqual({ $case: "exactMatch", value: "ann" });
    expect(route?.action).toMatchObject({
      $case: "route",
      value: {
        clusterSpecifier: {
          value: {
            clusters: [
              { name: ECHO("v1"), weight: 90 },
              { name: ECHO("v2"), weight: 10 },
            ],
          },
        },
        maxStreamDuration: { maxStreamDuration: { seconds: 2n } },
        retryPolicy: undefined,
      },
    });
  });
});

describe("clusters and endpoints", () => {
  it("are EDS and round robin, without what gRPC would refuse", () => {
    const cluster = gets(subsets("trafficPolicy: { loadBalancer: { simple: LEAST_REQUEST } }")).cluster(ECHO("v1"));
    expect(cluster).toMatchObject({ lbPolicy: 0, edsClusterConfig: { serviceName: ECHO("v1") } });
    expect(cluster.transportSocketMatches).toEqual([]);
    expect(cluster.transportSocket).toBeUndefined();
    expect(cluster.typedExtensionProtocolOptions).toEqual({});
  });

  it("use the certificate provider where mesh mTLS is demanded", () => {
    const mesh = gets(subsets("trafficPolicy: { tls: { mode: ISTIO_MUTUAL } }")).cluster(ECHO());
    const tls = upstreamTlsOf(mesh)?.commonTlsContext;
    expect(tls?.tlsCertificateProviderInstance).toEqual({ instanceName: "default", certificateName: "default" });
    expect(tls?.tlsCertificateSdsSecretConfigs).toEqual([]);
    // gRPC refuses a cluster with them.
    expect(tls?.tlsParams).toBeUndefined();
    expect(tls?.validationContextType).toMatchObject({
      value: {
        defaultValidationContext: {
          caCertificateProviderInstance: { instanceName: "default", certificateName: "ROOTCA" },
          matchSubjectAltNames: [{ matchPattern: { value: "spiffe://cluster.local/ns/default/sa/default" } }],
        },
      },
    });
  });

  it("are withheld where gRPC cannot do what is asked", () => {
    const simple = gets(subsets("trafficPolicy: { tls: { mode: SIMPLE } }"));
    expect(simple.find("cluster", ECHO())).toBeUndefined();
    expect(simple.find("cluster", "PassthroughCluster")).toBeUndefined();
  });

  it("have a locality with a weight", () => {
    const [locality, more] = gets("").endpoints(ECHO()).endpoints;
    expect(more).toBeUndefined();
    expect(locality).toMatchObject({ locality: { region: "" }, loadBalancingWeight: 2 });
  });
});

describe("a server", () => {
  const name = "xds.istio.io/grpc/lds/inbound/0.0.0.0:7070";
  const strict = `
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default }
spec: { mtls: { mode: STRICT } }
---`;
  const allow = `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: allow }
spec: { rules: [{ from: [{ source: { namespaces: [default] } }] }] }
---`;

  it("takes plaintext unless mTLS is demanded", () => {
    expect(gets("").listener(name).filterChains[0]?.transportSocket).toBeUndefined();
    const tls = downstreamTlsOf(gets(strict).listener(name).filterChains[0]);
    expect(tls.requireClientCertificate).toBe(true);
    expect(tls.commonTlsContext?.tlsCertificateProviderInstance?.instanceName).toBe("default");
  });

  it("enforces policies", () => {
    const filters = (yaml: string) =>
      httpManagerOf(gets(yaml).listener(name).filterChains[0]?.filters[0]).httpFilters.map((filter) => filter.name);
    expect(filters("")).toEqual(["envoy.filters.http.router"]);
    expect(filters(allow)).toEqual(["envoy.filters.http.rbac", "envoy.filters.http.router"]);
  });
});
