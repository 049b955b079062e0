import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "@lateen/test-support";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ControlPlane, type Pod } from "./harness/control-plane.ts";
import { GrpcClient, startGrpc } from "./harness/grpc.ts";
import { program } from "./harness/programs.ts";
import { grpcBootstrapFile, startAgent } from "./harness/proxies.ts";

const pod = (name: string, last: number, labels: Record<string, string>): Pod => ({
  name,
  namespace: "default",
  address: `127.70.2.${last}`,
  serviceAccount: labels.app ?? "default",
  labels,
  ports: [{ containerPort: 7070 }, { containerPort: 7071 }],
  mesh: false,
});
const client = pod("client", 2, { app: "client" });
const echo1 = pod("echo-v1", 11, { app: "echo", version: "v1" });
const echo2 = pod("echo-v2", 12, { app: "echo", version: "v2" });

const BASE = `---
apiVersion: v1
kind: Namespace
metadata: { name: default }
---
apiVersion: v1
kind: Service
metadata: { name: echo, namespace: default }
spec:
  selector: { app: echo }
  ports: [{ name: grpc, port: 7070 }]
---
apiVersion: v1
kind: Service
metadata: { name: secure, namespace: default }
spec:
  selector: { app: echo }
  ports: [{ name: grpc, port: 7071 }]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: echo, namespace: default }
spec:
  host: echo
  subsets:
    - { name: v1, labels: { version: v1 } }
    - { name: v2, labels: { version: v2 } }
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: secure, namespace: default }
spec: { host: secure, trafficPolicy: { tls: { mode: ISTIO_MUTUAL } } }
`;
const weights = (v1: number, v2: number) => `---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: echo, namespace: default }
spec:
  hosts: [echo]
  http:
    - route:
        - { destination: { host: echo, subset: v1 }, weight: ${v1} }
        - { destination: { host: echo, subset: v2 }, weight: ${v2} }
`;
/** gRPC's C core does not read while nobody calls, so that only calls can tell whether a rule is in force. */
const later = { synced: false } as const;
const ECHO = "xds:///echo.default.svc.cluster.local:7070";

const python = program("python3-grpcio");
const noPython = python.path === undefined ? python.reason : undefined;
const here = (name: string) => join(import.meta.dirname, "clients", name);
const clients = [
  { name: "@grpc/grpc-js-xds", argv: [process.execPath, here("client.mjs")], skip: undefined },
  {
    name: "python3-grpcio",
    argv: [python.path ?? "", here("client.py")],
    skip: noPython,
  },
];

describe.each(clients)("gRPC without a proxy: $name", ({ argv, skip }) => {
  let plane: ControlPlane;
  let grpc: GrpcClient;
  const stops: (() => Promise<unknown>)[] = [];
  beforeAll(async () => {
    if (skip !== undefined) return;
    const folder = await mkdtemp(join(tmpdir(), "lateen-grpc-"));
    stops.push(() => rm(folder, { recursive: true, force: true }));
    plane = await ControlPlane.start(folder, BASE, [client, echo1, echo2]);
    stops.push(() => plane.stop());
    for (const one of [echo1, echo2]) {
      const plain = await startGrpc(one.name, one.address, 7070);
      const secure = await startGrpc(one.name, one.address, 7071, await plane.identity(one));
      stops.push(plain.close, secure.close);
    }
    const agent = await startAgent(plane, client);
    stops.push(() => agent.stop());
    grpc = new GrpcClient(argv, await grpcBootstrapFile(agent, client));
    stops.push(() => grpc.stop());
  });
  afterAll(async () => {
    for (const stop of stops.reverse()) await stop();
  });

  it.skipIf(skip !== undefined)(
    `resolves a service and reaches all its endpoints${skip === undefined ? "" : ` (skipped: ${skip})`}`,
    async () => {
      await plane.apply("");
      const tally = await grpc.call(ECHO, 40);
      expect(Object.keys(tally).sort()).toEqual(["echo-v1", "echo-v2"]);
      expect(await plane.refusals()).toEqual([]);
    },
  );

  it.skipIf(skip !== undefined)("follows a change of weights, without an error", async () => {
    await plane.apply(weights(100, 0), later);
    await eventually("all go to v1", async () => ((await grpc.call(ECHO, 10))["echo-v1"] === 10 ? true : undefined));
    await plane.apply(weights(0, 100), later);
    const seen = new Set<string>();
    await eventually("all go to v2", async () => {
      const tally = await grpc.call(ECHO, 10);
      for (const answer of Object.keys(tally)) seen.add(answer);
      return tally["echo-v2"] === 10 ? true : undefined;
    });
    expect([...seen].filter((answer) => answer.startsWith("error"))).toEqual([]);
    await plane.apply(weights(80, 20), later);
    await eventually("both get some", async () =>
      Object.keys(await grpc.call(ECHO, 20)).length === 2 ? true : undefined,
    );
    const tally = await grpc.call(ECHO, 400);
    expect(tally["echo-v1"]).toBeGreaterThan(280);
    expect(tally["echo-v2"]).toBeGreaterThan(40);
    expect(await plane.refusals()).toEqual([]);
  });

  it.skipIf(skip !== undefined)("uses the workload's certificate where mesh mTLS is demanded", async () => {
    const tally = await grpc.call("xds:///secure.default.svc.cluster.local:7071", 20);
    expect(Object.keys(tally).sort()).toEqual(["echo-v1", "echo-v2"]);
    expect(await plane.refusals()).toEqual([]);
  });

  it.skipIf(skip !== undefined)("fails for what is not there", async () => {
    // gRPC itself waits 15 s for a resource that may still come.
    const tally = await grpc.call("xds:///nobody.default.svc.cluster.local:7070", 1, 1);
    expect(Object.keys(tally)[0]).toMatch(/^error: /);
  });
});
