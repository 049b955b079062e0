import { decodeText, keyOf } from "@lateen/mesh-model";
import { expect, it } from "vitest";
import { builtinDocuments } from "./builtin.ts";

const options = { userKeys: new Set<string>(), egress: false, accessLogPorts: [9091] };
const keys = (overrides: Partial<typeof options>) =>
  decodeText({ file: "builtin.yaml", text: builtinDocuments({ ...options, ...overrides }) }).map((document) =>
    document.ok ? keyOf(document.object) : document.diagnostics.map(({ message }) => message).join(),
  );

it("are valid objects", () => {
  expect(keys({ egress: true })).toEqual([
    "Namespace//istio-system",
    "ServiceAccount/istio-system/istio-ingressgateway-service-account",
    "Service/istio-system/istio-ingressgateway",
    "ServiceAccount/istio-system/istio-egressgateway-service-account",
    "Service/istio-system/istio-egressgateway",
    "Service/istio-system/istio-mixer",
    "Endpoints/istio-system/istio-mixer",
    "DestinationRule/istio-system/istio-mixer",
  ]);
});

it("have a Service and an account for each gateway that is deployed, where its Gateway is", () => {
  const ports = [{ name: "http-80", port: 80, targetPort: 10_080 }];
  const flavor = { name: "gw-istio", namespace: "shop", serviceAccount: "gw-istio", labels: { gw: "gw" }, ports };
  const text = builtinDocuments({ ...options, deployed: [flavor] });
  const names = decodeText({ file: "builtin.yaml", text }).map((document) => document.ok && keyOf(document.object));
  expect(names).toEqual(expect.arrayContaining(["ServiceAccount/shop/gw-istio", "Service/shop/gw-istio"]));
});

it("give way to the user's own objects", () => {
  const own = "Service/istio-system/istio-ingressgateway";
  expect(keys({ userKeys: new Set([own]) })).not.toContain(own);
});

it("say where mixer really listens", () => {
  const text = builtinDocuments({ ...options, accessLogPorts: [40_001] });
  const endpoints = decodeText({ file: "builtin.yaml", text }).find((d) => d.ok && d.object.kind === "Endpoints");
  expect(endpoints).toMatchObject({ object: { subsets: [{ ports: [{ name: "grpc-als", port: 40_001 }] }] } });
});
