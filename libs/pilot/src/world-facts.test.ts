import { expect, it } from "vitest";
import { objectsOf, service } from "./testing/objects.ts";
import { worldFacts } from "./world-facts.ts";

const rule = (name: string, host: string, namespace = "shop", gateways = "[mesh]") => `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ${name}, namespace: ${namespace} }
spec: { hosts: [${host}], gateways: ${gateways}, http: [{ route: [{ destination: { host: ${host} } }] }] }
`;
const destination = (name: string, subset: string, namespace = "shop") => `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: ${name}, namespace: ${namespace} }
spec: { host: cart.shop.svc.cluster.local, subsets: [{ name: ${subset} }] }
`;
const pod = (name: string, status: string) => `
apiVersion: v1
kind: Pod
metadata: { name: ${name}, namespace: shop }
spec: { containers: [{ name: app, image: app }] }
status: ${status}
`;

it("counts what there is, and what stands twice", () => {
  const objects = objectsOf(
    [
      rule("a", "cart"),
      rule("b", "cart.shop.svc.cluster.local", "other"),
      rule("c", "cart", "shop", "[ingress]"),
      rule("d", "web"),
      destination("a", "v1"),
      destination("b", "v1"),
      destination("c", "v2"),
      destination("d", "v1", "other"),
      pod("running", "{ phase: Running }"),
      pod("addressed", "{ phase: Running, podIP: 127.64.0.2 }"),
      pod("pending", "{ phase: Pending }"),
    ].join("---"),
  );
  expect(worldFacts([...objects, service("cart", "shop", "10.96.0.2")], "cluster.local")).toEqual({
    services: 1,
    virtualServices: 4,
    podsWithoutIp: 1,
    duplicateDomains: 1,
    duplicateSubsets: 1,
  });
});
