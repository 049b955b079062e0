import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "@lateen/test-support";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ControlPlane, type Pod } from "./harness/control-plane.ts";
import { GrpcClient } from "./harness/grpc.ts";
import { Program, program } from "./harness/programs.ts";
import { grpcBootstrapFile, startAgent } from "./harness/proxies.ts";

const pod = (name: string, last: number, app: string): Pod => ({
  name,
  namespace: "default",
  address: `127.70.4.${last}`,
  serviceAccount: app,
  labels: { app },
  ports: [{ containerPort: 7070 }],
  mesh: true,
});
const client = pod("client", 2, "client");
const server = pod("echo", 11, "echo");
const PORT = 7070;

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
  ports: [{ name: grpc, port: ${PORT} }]
`;
const security = (kind: string, spec: string) => `---
apiVersion: security.istio.io/v1
kind: ${kind}
metadata: { name: echo, namespace: default }
spec: ${spec}
`;
const tls = (mode: string) => `---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: echo, namespace: default }
spec: { host: echo, trafficPolicy: { tls: { mode: ${mode} } } }
`;
const STRICT = security("PeerAuthentication", "{ mtls: { mode: STRICT } }") + tls("ISTIO_MUTUAL");
const allow = (rule: string) => security("AuthorizationPolicy", `{ rules: [${rule}] }`);
const from = (account: string) => `from: [{ source: { principals: [cluster.local/ns/default/sa/${account}] } }]`;
const DENY = security(
  "AuthorizationPolicy",
  "{ action: DENY, rules: [{ to: [{ operation: { paths: [/echo.Echo/Say] } }] }] }",
);

const ECHO = `xds:///echo.default.svc.cluster.local:${PORT}`;
/** The same server without xDS, in plaintext. */
const PLAIN = `ipv4:${server.address}:${PORT}`;
const DENIED = /PERMISSION_DENIED|^error: 7 /;
/** gRPC's libraries do not read while they have nothing to do, so that only calls can tell whether a rule is in force. */
const later = { synced: false } as const;

const python = program("python3-grpcio");
const noPython = python.path === undefined ? python.reason : undefined;
const here = (name: string) => join(import.meta.dirname, "clients", name);
const core = { name: "python3-grpcio", argv: (file: string) => [python.path ?? "", here(`${file}.py`)] };
const pairs = [{ server: core, client: core, skip: noPython }];

describe.each(pairs.map((one) => ({ ...one, title: `${one.server.name} asked by ${one.client.name}` })))(
  "a gRPC server without a proxy: $title",
  ({ server: serving, client: asking, skip }) => {
    let plane: ControlPlane;
    let grpc: GrpcClient;
    let running: Program;
    const stops: (() => Promise<unknown>)[] = [];
    beforeAll(async () => {
      if (skip !== undefined) return;
      const folder = await mkdtemp(join(tmpdir(), "lateen-grpc-server-"));
      stops.push(() => rm(folder, { recursive: true, force: true }));
      plane = await ControlPlane.start(folder, BASE, [client, server]);
      stops.push(() => plane.stop());
      const [ofServer, ofClient] = [await startAgent(plane, server), await startAgent(plane, client)];
      stops.push(ofServer.stop, ofClient.stop);
      const env = {
        ...process.env,
        GRPC_XDS_BOOTSTRAP: await grpcBootstrapFile(ofServer, server),
      };
      running = new Program("gRPC server", [...serving.argv("server"), "echo", `${server.address}:${PORT}`], env);
      stops.push(() => running.stop());
      grpc = new GrpcClient(asking.argv("client"), await grpcBootstrapFile(ofClient, client));
      stops.push(() => grpc.stop());
    });
    afterAll(async () => {
      for (const stop of stops.reverse()) await stop();
    });

    async function answers(target: string, expected: RegExp): Promise<void> {
      let last = "";
      await eventually(
        `${target} answers ${expected}`,
        async () => {
          running.alive();
          last = Object.keys(await grpc.call(target, 3, 5)).join();
          if (!expected.test(last)) throw new Error(`${last} ${running.output.slice(-1_000)}`);
          return true;
        },
        60_000,
      );
    }

    it.skipIf(skip !== undefined)(`serves${skip === undefined ? "" : ` (skipped: ${skip})`}`, async () => {
      await answers(PLAIN, /^echo$/);
      await answers(ECHO, /^echo$/);
      expect(await plane.refusals()).toEqual([]);
    });

    it.skipIf(skip !== undefined)("wants mesh mTLS where it is demanded", async () => {
      await plane.apply(STRICT, later);
      await answers(ECHO, /^echo$/);
      await answers(PLAIN, /^error: /);
      // Not because the server was gone.
      await answers(ECHO, /^echo$/);
      expect(await plane.refusals()).toEqual([]);
    });

    it.skipIf(skip !== undefined)("keeps to access rules, and follows them", async () => {
      await plane.apply(STRICT + allow(`{ ${from("somebody")} }`), later);
      await answers(ECHO, DENIED);
      await plane.apply(
        STRICT + allow(`{ ${from("client")}, to: [{ operation: { paths: [/echo.Echo/Say] } }] }`),
        later,
      );
      await answers(ECHO, /^echo$/);
      await plane.apply(STRICT + allow(`{ to: [{ operation: { paths: [/echo.Echo/Whisper] } }] }`), later);
      await answers(ECHO, DENIED);
      await plane.apply(STRICT, later);
      await answers(ECHO, /^echo$/);
      await plane.apply(STRICT + DENY, later);
      await answers(ECHO, DENIED);
      expect(await plane.refusals()).toEqual([]);
    });
  },
);
