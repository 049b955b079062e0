import type { Caller } from "@lateen/ports";
import { Node } from "@lateen/proto/envoy/config/core/v3/base";
import { describe, expect, it } from "vitest";
import { admitNode } from "./admission.ts";

const caller: Caller = { namespace: "shop", serviceAccount: "web", via: "certificate" };
const id = "sidecar~127.64.0.2~web-1.shop~shop.svc.cluster.local";

describe("admitNode", () => {
  const cases: readonly [string, Caller | undefined, Parameters<typeof Node.fromPartial>[0], number | undefined][] = [
    ["a node of the caller's", caller, { id, metadata: { NAMESPACE: "shop", SERVICE_ACCOUNT: "web" } }, undefined],
    ["a node that names no account", caller, { id }, undefined],
    ["the pod that the token is bound to", { ...caller, via: "token", pod: "web-1" }, { id }, undefined],
    ["another pod of the account", { ...caller, via: "token", pod: "web-2" }, { id }, 7],
    ["nobody", undefined, { id }, 16],
    ["another namespace in the id", caller, { id: id.replace("web-1.shop", "web-1.prod") }, 7],
    ["another namespace in the metadata", caller, { id, metadata: { NAMESPACE: "prod" } }, 3],
    ["another account", caller, { id, metadata: { SERVICE_ACCOUNT: "cart" } }, 7],
    ["labels without end", caller, { id, metadata: { LABELS: { a: "x".repeat(400_000) } } }, 8],
    ["ports without end", caller, { id, metadata: { POD_PORTS: Array(20_000).fill({ containerPort: 80 }) } }, 8],
    ["as many annotations as may be", caller, { id, metadata: { ANNOTATIONS: { a: "x".repeat(262_144) } } }, undefined],
    ["an id that cannot be read", caller, { id: "web" }, 3],
    ["a kind of node that is not served", caller, { id: id.replace("sidecar", "waypoint") }, 3],
  ];
  it.each(cases)("%s", (_title, who, node, code) => {
    const admitted = admitNode(who, Node.fromPartial(node ?? {}));
    expect(admitted.ok ? undefined : admitted.error.code).toBe(code);
  });

  it("takes the account from the identity, not from the node", () => {
    const admitted = admitNode(caller, Node.fromPartial({ id }));
    expect(admitted.ok && admitted.value.serviceAccount).toBe("web");
  });
});
