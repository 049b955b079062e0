import { type ChildProcess, spawn } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { createServer, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join, resolve } from "node:path";
import { systemClock } from "@lateen/kernel";
import { mintToken } from "@lateen/pki";
import { eventually } from "@lateen/test-support";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { call } from "./harness/http.ts";
import { type Mesh, startMesh } from "./harness/mesh.ts";

const repository = resolve(import.meta.dirname, "../../..");
/** An address of the loopback network that no pod of the sample gets. */
const ADDRESS = "127.127.9.9";
const GROUP = `
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: { name: stock }
spec:
  metadata: { labels: { app: stock } }
  template: { serviceAccount: stock, labels: { security.istio.io/tlsMode: istio } }
  probe: { httpGet: { path: /healthz, port: 8080 }, periodSeconds: 1, failureThreshold: 1 }
---
apiVersion: v1
kind: Service
metadata: { name: stock }
spec: { selector: { app: stock }, ports: [{ name: http, port: 80, targetPort: 8080 }] }
`;

/** Settings of proxies at each level, and a rule for those that one of them names. */
const PROXIES = `
apiVersion: networking.istio.io/v1beta1
kind: ProxyConfig
metadata: { name: all, namespace: istio-system }
spec: { concurrency: 1, environmentVariables: { ISTIO_META_TEAM: everybody, ISTIO_METAJSON_TIER: '{ "level": 1 }' } }
---
apiVersion: networking.istio.io/v1beta1
kind: ProxyConfig
metadata: { name: details, namespace: default }
spec:
  selector: { matchLabels: { app: details } }
  concurrency: 2
  environmentVariables: { ISTIO_META_TEAM: details }
---
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: { name: team, namespace: istio-system }
spec:
  configPatches:
    - applyTo: VIRTUAL_HOST
      match: { context: SIDECAR_INBOUND, proxy: { metadata: { TEAM: details } } }
      patch: { operation: MERGE, value: { response_headers_to_add: [{ header: { key: x-team, value: details } }] } }
`;

describe("a process outside the mesh's own that registers itself in a WorkloadGroup", () => {
  let mesh: Mesh;
  let application: Server;
  let sidecar: ChildProcess;
  let healthy = true;
  let log = "";

  /** What a workload of the mesh gets from `http://stock/`. */
  async function answer(): Promise<string> {
    const { address } = await mesh.pod("productpage-v1");
    return await new Promise((finish, reject) => {
      const call = request({ host: address, port: 15_001, path: "http://stock/", headers: { host: "stock" } });
      call.on("response", (response) => {
        let body = "";
        response.setEncoding("utf8").on("data", (text: string) => {
          body += text;
        });
        response.on("end", () => finish(`${response.statusCode} ${body}`));
      });
      call.on("error", reject);
      call.end();
    });
  }

  const becomes = (what: string, wanted: (text: string) => boolean) =>
    eventually(
      what,
      async () => {
        const text = await answer();
        return wanted(text) ? text : undefined;
      },
      60_000,
    ).catch((error: Error) => {
      throw new Error(`${error.message}\n${log.slice(-4000)}`);
    });

  async function startSidecar(): Promise<ChildProcess> {
    const runDirectory = join(mesh.folder, "stock");
    await mkdir(runDirectory, { recursive: true });
    const privatePem = await readFile(join(mesh.state, "token-key.pem"), "utf8");
    const token = mintToken(
      { privatePem, namespace: "default", serviceAccount: "stock", ttlSeconds: 3600 },
      systemClock(),
    );
    await writeFile(join(runDirectory, "token"), token);
    await writeFile(join(runDirectory, "root-cert.pem"), await readFile(join(mesh.state, "ca/root-cert.pem"), "utf8"));
    const capture = {
      capture: {
        mode: "proxy-env",
        address: ADDRESS,
        inbound: [
          { containerPort: 8080, appAddress: "127.0.0.1", appPort: (application.address() as AddressInfo).port },
        ],
        explicitProxy: { address: ADDRESS, port: 15_001 },
        services: [],
      },
      bindMap: [],
      bindAddress: ADDRESS,
      lowPortOffset: 0,
    };
    await writeFile(join(runDirectory, "capture.json"), JSON.stringify(capture));
    const { xds } = JSON.parse(await readFile(join(mesh.state, "control-plane.json"), "utf8")) as { xds: number };
    const flags = {
      "run-dir": runDirectory,
      "discovery-address": `127.0.0.1:${xds}`,
      "server-name": "istiod.istio-system.svc",
      capture: join(runDirectory, "capture.json"),
      "admin-address": ADDRESS,
    };
    const child = spawn(
      process.execPath,
      [
        join(repository, "apps/sidecar/dist/main.js"),
        ...Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value]),
      ],
      {
        env: {
          ...process.env,
          POD_NAME: "stock-vm",
          POD_NAMESPACE: "default",
          INSTANCE_IP: ADDRESS,
          SERVICE_ACCOUNT: "stock",
          ISTIO_META_AUTO_REGISTER_GROUP: "stock",
          ISTIO_METAJSON_LABELS: '{"app":"stock","version":"vm"}',
          ISTIO_META_POD_PORTS: '[{"containerPort":8080}]',
          PROXY_CONFIG:
            '{"readinessProbe":{"httpGet":{"path":"/healthz","port":8080},"periodSeconds":1,"failureThreshold":1}}',
        },
      },
    );
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      log += text;
    });
    child.stdout.resume();
    return child;
  }

  beforeAll(async () => {
    mesh = await startMesh({ "stock.yaml": GROUP, "proxies.yaml": PROXIES });
    application = createServer((incoming, response) => {
      const probed = incoming.url === "/healthz";
      response.statusCode = probed && !healthy ? 500 : 200;
      response.end(probed ? "" : "from outside");
    });
    await new Promise<void>((listening) => application.listen(0, "127.0.0.1", listening));
    sidecar = await startSidecar();
  });
  afterAll(async () => {
    sidecar?.kill("SIGKILL");
    application?.close();
    await mesh?.down();
  });

  it("gets requests once its agent says that it is well", async () => {
    expect(await becomes("an answer from outside", (text) => text.startsWith("200"))).toBe("200 from outside");
  });

  it("gets none while its probe fails, and again when it does not", async () => {
    healthy = false;
    expect(await becomes("nobody there", (text) => text.startsWith("503"))).toContain("no healthy upstream");
    healthy = true;
    await becomes("an answer again", (text) => text === "200 from outside");
  });

  it("is forgotten after it has gone", async () => {
    sidecar.kill("SIGKILL");
    await becomes("nobody there", (text) => text.startsWith("503"));
    await eventually("the entry is removed", async () => {
      const { stdout } = await mesh.lateen("get", "workloadentry", "-o", "json");
      return stdout.includes("stock-127") ? undefined : true;
    });
  });

  describe("ProxyConfig", () => {
    const serverInfo = async (workload: string) => {
      const { address } = await mesh.pod(workload);
      return JSON.parse((await call(`http://${address}:15000/server_info`)).body) as {
        readonly node: { readonly metadata: Readonly<Record<string, unknown>> };
        readonly command_line_options: { readonly concurrency: number };
      };
    };

    it.each([
      ["details-v1", 2, "details"],
      ["ratings-v1", 1, "everybody"],
    ])("of %s says how many threads it has and what it says of itself", async (workload, concurrency, team) => {
      const { node, command_line_options: started } = await serverInfo(workload);
      expect(started.concurrency).toBe(concurrency);
      expect(node.metadata).toMatchObject({ TEAM: team, TIER: { level: 1 }, NAMESPACE: "default" });
    });

    it("is known to the control plane: rules may name what a proxy says", async () => {
      const headers = async (path: string) => (await call(mesh.url(path))).headers;
      expect((await headers("/api/v1/products/0"))["x-team"]).toBeUndefined();
      const { address } = await mesh.pod("details-v1");
      const direct = await call(`http://${address}:9080/details/0`);
      expect([direct.status, direct.headers["x-team"]]).toEqual([200, "details"]);
    });

    it("holds from the next start of a proxy", async () => {
      await mesh.write("proxies.yaml", PROXIES.replace("concurrency: 2", "concurrency: 3"));
      await mesh.synced();
      const { address } = await mesh.pod("details-v1");
      expect((await serverInfo("details-v1")).command_line_options.concurrency).toBe(2);
      await call(`http://${address}:15000/quitquitquit`, { method: "POST" });
      await eventually("the proxy is another one", async () => {
        expect((await serverInfo("details-v1")).command_line_options.concurrency).toBe(3);
        return true;
      });
    });
  });
});
