import { ClusterLoadAssignment } from "@lateen/proto/envoy/config/endpoint/v3/endpoint";
import { describe, expect, it } from "vitest";
import { localities } from "./index.ts";

describe("endpoints", () => {
  const socket = (address: string, port = 80) => ({
    address: {
      $case: "socketAddress" as const,
      value: { address, portSpecifier: { $case: "portValue" as const, value: port } },
    },
  });
  const decode = (endpoint: object) =>
    localities(
      ClusterLoadAssignment.fromPartial({
        endpoints: [{ priority: 1, locality: { region: "r" }, lbEndpoints: [endpoint] }],
      }),
      "",
    );

  it("decodes address, weight, health, TLS mode and workload", () => {
    const [locality] = decode({
      hostIdentifier: { $case: "endpoint", value: { address: socket("10.0.0.1") } },
      healthStatus: 2,
      loadBalancingWeight: 3,
      metadata: {
        filterMetadata: {
          "envoy.transport_socket_match": { tlsMode: "istio" },
          istio: { workload: "w;ns;svc;v1;local" },
          lateen: { app: "a", version: "v" },
        },
      },
    });
    expect(locality).toMatchObject({ priority: 1, region: "r" });
    expect(locality?.endpoints).toEqual([
      {
        address: "10.0.0.1",
        port: 80,
        weight: 3,
        healthy: false,
        transportSocketMatch: { tlsMode: "istio" },
        workload: {
          workload: "w",
          namespace: "ns",
          canonicalService: "svc",
          canonicalRevision: "v1",
          cluster: "local",
          app: "a",
          version: "v",
        },
      },
    ]);
  });

  it.each([
    [{}, "endpoints[0].lb_endpoints[0]: endpoint is required"],
    [
      {
        hostIdentifier: {
          $case: "endpoint",
          value: { address: { address: { $case: "pipe", value: { path: "/x" } } } },
        },
      },
      "endpoints[0].lb_endpoints[0].endpoint.address: pipe is not supported",
    ],
    [
      { hostIdentifier: { $case: "endpoint", value: { address: socket("1.2.3.4", 70_000) } } },
      "70000 is not a port number",
    ],
  ])("refuses %o", (endpoint, reason) => expect(() => decode(endpoint)).toThrow(reason));
});
