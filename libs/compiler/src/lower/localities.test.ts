import type { LocalityLbSetting, ServiceEndpoint } from "@lateen/mesh-model";
import { Node } from "@lateen/proto/envoy/config/core/v3/base";
import { ClusterLoadAssignment } from "@lateen/proto/envoy/config/endpoint/v3/endpoint";
import { describe, expect, it } from "vitest";
import { nodeFromProto } from "../node.ts";
import { typeUrls } from "../resource.ts";
import { compilerFor, objectsFrom, pod, service } from "../testing/mesh.ts";
import { localityGroups } from "./localities.ts";

const endpoint = (address: string, locality: string, labels: Readonly<Record<string, string>> = {}, weight = 1) => ({
  endpoint: { address, locality, labels, weight } as ServiceEndpoint,
  mtls: false,
  workload: "",
});
const EVERYWHERE = [
  endpoint("same", "r1/z1/s1"),
  endpoint("zone", "r1/z1/s2"),
  endpoint("region", "r1/z2/s1"),
  endpoint("near", "r2/z1/s1"),
  endpoint("far", "r3/z1/s1"),
];
const CLIENT = { locality: "r1/z1/s1", labels: { app: "client", "topology.istio.io/network": "n1" } };

/** `priority:weight address,…` of every group. */
function groups(
  setting: LocalityLbSetting | undefined,
  options: { failover?: boolean; placed?: typeof EVERYWHERE } = {},
) {
  const { failover = true, placed = EVERYWHERE } = options;
  return localityGroups(placed, { client: CLIENT, setting, failover }).map(
    ({ priority, weight, entries }) =>
      `${priority}:${weight} ${entries.map((entry) => entry.endpoint.address).join(",")}`,
  );
}

describe("localities", () => {
  it("are equal without a setting, or without outlier detection", () => {
    const flat = ["0:1 same", "0:1 zone", "0:1 region", "0:1 near", "0:1 far"];
    expect([groups(undefined), groups({}, { failover: false })]).toEqual([flat, flat]);
  });

  it("near ones come first", () => {
    expect(groups({})).toEqual(["0:1 same", "1:1 zone", "2:1 region", "3:1 near", "3:1 far"]);
  });

  it("fail over to the region that is named", () => {
    expect(groups({ failover: [{ from: "r1", to: "r3" }] })).toEqual([
      "0:1 same",
      "1:1 zone",
      "2:1 region",
      "3:1 far",
      "4:1 near",
    ]);
  });

  it("have priorities without gaps", () => {
    expect(groups({}, { placed: EVERYWHERE.slice(2) })).toEqual(["0:1 region", "1:1 near", "1:1 far"]);
  });

  it("are ordered by labels, the first mismatch deciding", () => {
    const placed = [
      endpoint("both", "r2/z1", { "topology.istio.io/network": "n1", version: "v1" }),
      endpoint("network", "r2/z1", { "topology.istio.io/network": "n1", version: "v2" }),
      endpoint("version", "r2/z1", { "topology.istio.io/network": "n2", version: "v1" }),
    ];
    const failoverPriority = ["topology.istio.io/network", "version=v1"];
    expect(groups({ failoverPriority }, { placed })).toEqual(["0:1 both", "1:1 network", "2:1 version"]);
  });

  it("labels of the place are those of the locality", () => {
    const failoverPriority = ["topology.kubernetes.io/region"];
    expect(groups({ failoverPriority })).toEqual(["0:1 same", "0:1 zone", "0:1 region", "1:1 near", "1:1 far"]);
  });

  it.each([
    ["by exact locality", { "r1/z1/s1": 80, "r2/z1/s1": 20 }, ["0:80 same", "0:20 near"]],
    ["by wildcard, by weight inside", { "r1/z1/*": 80, "r1/*": 20 }, ["0:40 same", "0:40 zone", "0:20 region"]],
    ["to whole regions", { r3: 100 }, ["0:100 far"]],
    ["to the rest", { r1: 10, "*": 90 }, ["0:4 same", "0:4 zone", "0:4 region", "0:45 near", "0:45 far"]],
  ])("are distributed %s", (_title, to, expected) => {
    expect(groups({ distribute: [{ from: "r1/*", to }] }, { failover: false })).toEqual(expected);
  });

  it("distribution is for clients of its place", () => {
    expect(groups({ distribute: [{ from: "r9/*", to: { r3: 100 } }] })).toHaveLength(5);
  });
});

describe("a client with a locality", () => {
  const CLUSTER = "outbound|80||web.default.svc.cluster.local";
  const MACHINE = (name: string, zone: string) => `
apiVersion: v1
kind: Node
metadata: { name: ${name}, labels: { topology.kubernetes.io/region: r1, topology.kubernetes.io/zone: ${zone} } }
---`;
  const on = (yaml: string, machine: string) => yaml.replace("spec: {", `spec: { nodeName: ${machine},`);
  const MESH = [
    service("web", "10.0.0.1", ["http:80"]),
    on(pod("web-1", "10.1.0.1", { app: "web" }), "m1"),
    on(pod("web-2", "10.1.0.2", { app: "web" }), "m2"),
    MACHINE("m1", "z1"),
    MACHINE("m2", "z2"),
  ].join("");
  const RULE = `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: web }
spec: { host: web, trafficPolicy: { outlierDetection: {} } }
---`;

  /** `priority locality address` of every endpoint. */
  function endpoints(yaml: string, zone: string): readonly string[] {
    const id = "sidecar~10.1.0.9~client.default~default.svc.cluster.local";
    const node = nodeFromProto(Node.fromPartial({ id, locality: { region: "r1", zone, subZone: "" } }));
    if (!node.ok) throw new Error(node.error);
    const found = compilerFor(objectsFrom(yaml)).resources(node.value, typeUrls.endpoint).get(CLUSTER);
    return ClusterLoadAssignment.decode(found?.any.value ?? new Uint8Array()).endpoints.map(
      ({ priority, locality, lbEndpoints }) => {
        const host = lbEndpoints[0]?.hostIdentifier;
        const address = host?.$case === "endpoint" ? host.value.address?.address : undefined;
        return `${priority} ${locality?.region}/${locality?.zone} ${address?.$case === "socketAddress" ? address.value.address : ""}`;
      },
    );
  }

  it("knows where pods are by their machines", () => {
    expect(endpoints(MESH, "z1")).toEqual(["0 r1/z1 10.1.0.1", "0 r1/z2 10.1.0.2"]);
  });

  it.each([
    ["z1", ["0 r1/z1 10.1.0.1", "1 r1/z2 10.1.0.2"]],
    ["z2", ["0 r1/z2 10.1.0.2", "1 r1/z1 10.1.0.1"]],
  ])("prefers its zone once failures are noticed: %s", (zone, expected) => {
    expect(endpoints(MESH + RULE, zone)).toEqual(expected);
  });

  it("prefers near endpoints of services that ask for it", () => {
    const near = MESH.replace("spec: { clusterIP", "spec: { trafficDistribution: PreferClose, clusterIP");
    expect(endpoints(near, "z2")).toEqual(["0 r1/z2 10.1.0.2", "1 r1/z1 10.1.0.1"]);
  });

  it("a rule decides before the service", () => {
    const near = MESH.replace("spec: { clusterIP", "spec: { trafficDistribution: PreferClose, clusterIP");
    const off = RULE.replace("outlierDetection: {}", "loadBalancer: { localityLbSetting: { enabled: false } }");
    expect(endpoints(near + off, "z2")).toEqual(["0 r1/z1 10.1.0.1", "0 r1/z2 10.1.0.2"]);
  });
});
