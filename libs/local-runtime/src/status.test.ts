import type { Gateway } from "@lateen/mesh-model";
import { describe, expect, it } from "vitest";
import type { PodView } from "./pod/types.ts";
import { type StatusInput, statusReport } from "./status.ts";

const pod = (fields: Partial<PodView> = {}): PodView => ({
  namespace: "default",
  name: "web-abc-12345",
  workload: "web",
  kind: "workload",
  serviceAccount: "web",
  labels: {},
  annotations: {},
  templateHash: "abc",
  address: "127.64.0.2",
  ready: true,
  phase: "Running",
  reason: "",
  restarts: 0,
  ports: [{ container: 9080, name: "http", privatePort: 21000 }],
  containerPorts: [],
  images: [],
  createdAt: 0,
  ...fields,
});
const ingress = pod({ kind: "gateway", workload: "istio-ingressgateway", namespace: "istio-system", ports: [] });
const gateway = (ports: readonly number[]): Gateway => ({
  apiVersion: "networking.istio.io/v1",
  kind: "Gateway",
  metadata: { name: "g", namespace: "default" },
  spec: {
    selector: { istio: "ingressgateway" },
    servers: ports.map((number) => ({ port: { number, name: `p${number}`, protocol: "HTTP" }, hosts: ["*"] })),
  },
});
const input = (fields: Partial<StatusInput> = {}): StatusInput => ({
  mesh: "default",
  version: "1.0.0",
  revision: 4,
  configLoaded: true,
  controlPlane: { ready: true, ports: {} },
  pods: [pod(), ingress],
  gateways: [gateway([80, 443, 8080])],
  ingressPort: 9000,
  rejected: [],
  warnings: [],
  synced: ({ name }) => name === "web-abc-12345",
  ...fields,
});

describe("statusReport", () => {
  it("shows a workload with its ports: declared, at the sidecar, and where the application listens", () => {
    expect(statusReport(input()).workloads).toEqual([
      {
        namespace: "default",
        pod: "web-abc-12345",
        workload: "web",
        serviceAccount: "web",
        ready: true,
        address: "127.64.0.2",
        ports: [{ container: 9080, sidecar: 9080, private: 21000 }],
        synced: true,
        phase: "Running",
        reason: "",
        restarts: 0,
        createdAt: "1970-01-01T00:00:00.000Z",
      },
    ]);
  });

  it("shows where each port of a gateway is reached", () => {
    expect(statusReport(input()).gateways[0]?.ports).toEqual([
      { port: 80, listen: 9000, host: "127.0.0.1" },
      { port: 443, listen: 10_443, host: "127.0.0.1" },
      { port: 8080, listen: 9000, host: "127.0.0.1" },
    ]);
  });

  it.each<[string, Partial<StatusInput>, boolean]>([
    ["everything is ready", {}, true],
    ["a pod is not", { pods: [pod({ ready: false }), ingress] }, false],
    ["a pod that is not is on its way out", { pods: [pod(), pod({ ready: false, phase: "Terminating" })] }, true],
    ["nothing runs", { pods: [] }, false],
    ["the control plane is down", { controlPlane: { ready: false, ports: {} } }, false],
    ["the configuration has not come yet", { configLoaded: false }, false],
  ])("when %s, ready is as it should be", (_, fields, ready) => {
    expect(statusReport(input(fields)).ready).toBe(ready);
  });
});
