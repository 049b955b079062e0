import { expect, it } from "vitest";
import { type NodeOptions, service, viewOf } from "../testing/mesh.ts";

const EDGE = `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: edge }
spec: { selector: { app: edge }, servers: [{ port: { number: 8080, name: http, protocol: HTTP }, hosts: ["*"] }] }
---`;
const MESH = service("web", "10.0.0.1", ["http:80"]) + service("db", "10.0.0.2", ["tcp:3306"]) + EDGE;

/** Listener → where it binds; `-` where it does not. */
function bindings(node: NodeOptions, bindAddress?: unknown): Readonly<Record<string, string>> {
  const metadata = bindAddress === undefined ? {} : { LATEEN_BIND_ADDRESS: bindAddress };
  const view = viewOf(MESH, { ...node, envoy: true, metadata });
  const entries = view.names("listener").map((name) => {
    const { address, bindToPort } = view.listener(name);
    const at = address?.address?.$case === "socketAddress" ? address.address.value.address : "";
    return [name, bindToPort === false ? `- ${at}` : at];
  });
  return Object.fromEntries(entries);
}

it("binds at the address that the node asks for, and only what is bound", () => {
  const sidecar = {
    "0.0.0.0_80": "- 0.0.0.0",
    "10.0.0.2_3306": "- 10.0.0.2",
    virtualInbound: "127.0.0.1",
    virtualOutbound: "127.0.0.1",
  };
  expect(bindings({}, "127.0.0.1")).toEqual(sidecar);
  expect(bindings({})).toEqual({ ...sidecar, virtualInbound: "0.0.0.0", virtualOutbound: "0.0.0.0" });
  expect(bindings({ kind: "router", labels: { app: "edge" } }, "::1")).toEqual({ "0.0.0.0_8080": "::1" });
});

it.each(["localhost", "1.2.3", 7, ""])("takes %j for no address", (bindAddress) => {
  expect(bindings({}, bindAddress).virtualInbound).toBe("0.0.0.0");
});
