import type { GatewayClass, Ingress, KubernetesGateway } from "@lateen/mesh-model";
import { describe, expect, it } from "vitest";
import { deployedGateways, ingressPorts } from "./gateway-api.ts";

const gateway = (spec: Partial<KubernetesGateway["spec"]> = {}, annotations = {}): KubernetesGateway => ({
  apiVersion: "gateway.networking.k8s.io/v1",
  kind: "KubernetesGateway",
  metadata: { name: "gw", namespace: "shop", annotations },
  spec: {
    gatewayClassName: "istio",
    listeners: [
      { name: "a", port: 80, protocol: "HTTP", hostname: "a.com" },
      { name: "b", port: 80, protocol: "HTTP", hostname: "b.com" },
      { name: "c", port: 8443, protocol: "HTTPS" },
    ],
    ...spec,
  },
});
const gatewayClass = (controllerName: string): GatewayClass => ({
  apiVersion: "gateway.networking.k8s.io/v1",
  kind: "GatewayClass",
  metadata: { name: "own", namespace: "" },
  spec: { controllerName },
});

describe("a Gateway API Gateway", () => {
  it("is deployed beside itself, with a port for each of its listeners' ports", () => {
    expect(deployedGateways([gateway({ infrastructure: { labels: { team: "a" } } })], [])).toEqual([
      {
        name: "gw-istio",
        namespace: "shop",
        serviceAccount: "gw-istio",
        labels: {
          team: "a",
          "gateway.networking.k8s.io/gateway-name": "gw",
          "gateway.networking.k8s.io/gateway-class-name": "istio",
        },
        ports: [
          { name: "http-80", port: 80, targetPort: 10_080 },
          { name: "https-8443", port: 8443, targetPort: 8443 },
        ],
      },
    ]);
  });

  it.each([
    ["of this mesh's class", gateway(), [], 1],
    ["of an unknown class", gateway({ gatewayClassName: "own" }), [], 0],
    ["of a class of this mesh", gateway({ gatewayClassName: "own" }), [gatewayClass("istio.io/gateway-controller")], 1],
    [
      "of a class that others deploy",
      gateway({ gatewayClassName: "own" }),
      [gatewayClass("istio.io/unmanaged-gateway")],
      0,
    ],
    [
      "with an address of its own",
      gateway({ addresses: [{ type: "Hostname", value: "x.y.svc.cluster.local" }] }),
      [],
      0,
    ],
  ])("%s: %i", (_title, object, classes, count) => {
    expect(deployedGateways([object], classes)).toHaveLength(count);
  });

  it("that names the ingress gateway's Service is served there, as Ingress is", () => {
    const named = gateway({
      addresses: [{ type: "Hostname", value: "istio-ingressgateway.istio-system.svc.cluster.local" }],
    });
    const other = gateway({ addresses: [{ type: "Hostname", value: "istio-ingressgateway.shop" }] });
    const ingress = (tls: boolean): Ingress => ({
      apiVersion: "networking.k8s.io/v1",
      kind: "Ingress",
      metadata: { name: "i", namespace: "shop" },
      spec: tls ? { tls: [{ secretName: "cert" }] } : {},
    });
    expect(ingressPorts([named, other], [])).toEqual([80, 8443]);
    expect(ingressPorts([other], [ingress(false)])).toEqual([80]);
    expect(ingressPorts([], [ingress(false), ingress(true)])).toEqual([80, 443]);
  });

  it("may have another name", () => {
    expect(deployedGateways([gateway({}, { "gateway.istio.io/name-override": "edge" })], [])[0]?.name).toBe("edge");
  });
});
