import { decodeText, keyOf } from "@lateen/mesh-model";
import { expect, it } from "vitest";
import { builtinDocuments } from "./builtin.ts";

const options = { userKeys: new Set<string>(), egress: false, trustDomain: "cluster.local" };
const keys = (overrides: Partial<typeof options>) =>
  decodeText({ file: "builtin.yaml", text: builtinDocuments({ ...options, ...overrides }) }).map((document) =>
    document.ok ? keyOf(document.object) : document.diagnostics.map(({ message }) => message).join(),
  );

it("are valid objects", () => {
  expect(keys({ egress: true })).toEqual([
    "Namespace//istio-system",
    "ConfigMap/istio-system/istio",
    "ServiceAccount/istio-system/istio-ingressgateway-service-account",
    "Service/istio-system/istio-ingressgateway",
    "ServiceAccount/istio-system/istio-egressgateway-service-account",
    "Service/istio-system/istio-egressgateway",
    "Service/istio-system/istio-mixer",
    "Endpoints/istio-system/istio-mixer",
  ]);
});

it("give way to the user's own objects", () => {
  expect(keys({ userKeys: new Set(["ConfigMap/istio-system/istio"]) })).not.toContain("ConfigMap/istio-system/istio");
});
