import { describe, expect, it } from "vitest";
import { viewOf } from "../testing/mesh.ts";

const member = (index: number, ready: boolean): string => `apiVersion: v1
kind: Pod
metadata: { name: nats-${index}, namespace: default, labels: { app: nats } }
spec: { hostname: nats-${index}, subdomain: nats, containers: [{ name: nats }] }
status:
  phase: Running
  podIP: 10.1.0.${index}
  conditions: [{ type: Ready, status: "${ready ? "True" : "False"}" }]
---
`;
const ring = (publish: boolean): string => `${member(1, true)}${member(2, false)}apiVersion: v1
kind: Service
metadata: { name: nats }
spec:
  clusterIP: None
  publishNotReadyAddresses: ${publish}
  selector: { app: nats }
  ports: [{ name: tcp, port: 4222 }, { name: http, port: 8222 }]
`;
const NAME = "nats.default.svc.cluster.local";

describe("pods of a headless service", () => {
  it("have names of their own below it, with its short forms", () => {
    const { table } = viewOf(ring(false)).nameTable();
    expect(table[NAME]?.ips).toEqual(["10.1.0.1"]);
    expect(table[`nats-1.${NAME}`]).toMatchObject({
      ips: ["10.1.0.1"],
      shortname: "nats-1.nats",
      namespace: "default",
      altHosts: ["nats-1.nats.default", "nats-1.nats.default.svc"],
    });
    expect(table[`nats-2.${NAME}`]).toBeUndefined();
  });

  it("unready ones too, where the service publishes them", () => {
    const { table } = viewOf(ring(true)).nameTable();
    expect(table[`nats-2.${NAME}`]?.ips).toEqual(["10.1.0.2"]);
  });

  it("are reached by those names over HTTP", () => {
    const [host] = viewOf(ring(true)).route("8222").virtualHosts;
    expect(host?.domains).toEqual(
      expect.arrayContaining([`*.${NAME}`, "*.nats", "*.nats.default", "*.nats.default.svc"]),
    );
  });
});
