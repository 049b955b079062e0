import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { systemClock } from "@lateen/kernel";
import { valueFromText } from "@lateen/mesh-model";
import { createTokenKey, mintToken } from "@lateen/pki";
import { eventually } from "@lateen/test-support";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Machine, whyNoMachine } from "./harness/machine.ts";
import { type Finished, runCommand } from "./harness/mesh.ts";

const reason = whyNoMachine();
const apps = resolve(import.meta.dirname, "../../../apps");
/** What is on the path of the proxy's image under this name. */
const AGENT = [process.execPath, join(apps, "sidecar/bin/pilot-agent.mjs")];
const POD_IP = "198.51.100.2";

const DEPLOYMENT = `apiVersion: apps/v1
kind: Deployment
metadata: { name: web, namespace: shop }
spec:
  selector: { matchLabels: { app: web } }
  template:
    metadata:
      labels: { app: web }
      annotations: { prometheus.io/port: "8080", prometheus.io/path: /metrics }
    spec:
      containers:
        - name: app
          image: web:1
          ports: [{ name: http, containerPort: 8080 }]
          readinessProbe: { httpGet: { path: /ok, port: http } }
`;
const CONFIG = `apiVersion: v1
kind: Service
metadata: { name: web, namespace: shop }
spec: { selector: { app: web }, ports: [{ name: http, port: 80, targetPort: 8080 }] }
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: strict, namespace: shop }
spec: { mtls: { mode: STRICT } }
`;
const APP = `
let well = true;
require("node:http").createServer((request, answer) => {
  if (request.url === "/break") well = false;
  answer.statusCode = request.url === "/ok" && !well ? 503 : 200;
  answer.end(request.url === "/metrics" ? "app_jobs 7\\n" : "app");
}).listen(8080, "0.0.0.0", () => console.log("ready"));`;

interface Container {
  readonly name: string;
  readonly args: readonly string[];
  readonly env: readonly {
    readonly name: string;
    readonly value?: string;
    readonly valueFrom?: { readonly fieldRef?: { readonly fieldPath: string } };
  }[];
}

/**
 * A pod as a cluster would start it from what `lateen kube-inject` writes: capture rules, proxy and hook with the arguments and variables of the
 * containers, in a network namespace of their own; on the network outside a control plane. Only paths that Kubernetes mounts are others.
 */
describe.skipIf(reason !== "")(`an injected pod${reason === "" ? "" : ` (not here: ${reason})`}`, () => {
  const children: ChildProcess[] = [];
  let folder: string;
  let machine: Machine;
  let proxy: ChildProcess;
  const outside = (...argv: readonly string[]): Promise<Finished> =>
    runCommand([...machine.networkPrefix, ...argv], { timeoutMs: 120_000 });
  const status = async (run: typeof outside, ...argv: readonly string[]): Promise<string> =>
    (await run("curl", "-sS", "-m", "30", "-o", "/dev/null", "-w", "%{http_code}", ...argv)).stdout;
  const inPod = (...argv: readonly string[]): Promise<Finished> => machine.run(...argv);

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "lateen-pod-"));
    machine = await Machine.create();
    const key = createTokenKey();
    await startControlPlane(key.publicPem);
    const [init, sidecar] = await injected();
    const variables = await podVariables(key.privatePem, sidecar);
    const rules = await inPod(...AGENT, ...init.args);
    if (rules.code !== 0) throw new Error(rules.stderr);
    await start(machine.prefix, [process.execPath, "-e", APP]);
    const command = ["setpriv", "--regid", "1337", "--clear-groups", "--", ...AGENT, ...sidecar.args];
    proxy = launch(
      machine.prefix,
      command.map((word) => word.replace("$(POD_NAMESPACE)", "shop")),
      variables,
    );
    const waited = await inPod(...AGENT, "wait", "--timeoutSeconds=120");
    if (waited.code !== 0) throw new Error(`${waited.stderr}${proxyLog}`);
  }, 240_000);
  afterAll(async () => {
    for (const child of children) child.kill("SIGKILL");
    machine?.close();
    if (folder !== undefined) await rm(folder, { recursive: true, force: true });
  });

  let proxyLog = "";
  function launch(prefix: readonly string[], argv: readonly string[], env: NodeJS.ProcessEnv = {}): ChildProcess {
    const [command = "", ...rest] = [...prefix, ...argv];
    const child = spawn(command, rest, { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
    children.push(child);
    child.stdout.on("data", () => {});
    child.stderr.on("data", (text: Buffer) => {
      proxyLog = `${proxyLog}${text.toString()}`.slice(-4000);
    });
    return child;
  }
  async function start(prefix: readonly string[], argv: readonly string[]): Promise<void> {
    const child = launch(prefix, argv);
    if (child.stdout !== null) await once(child.stdout, "data");
  }

  async function startControlPlane(publicPem: string): Promise<void> {
    await mkdir(join(folder, "state/registry"), { recursive: true });
    await mkdir(join(folder, "config"));
    await writeFile(join(folder, "state/token-pub.pem"), publicPem);
    await writeFile(join(folder, "config/all.yaml"), CONFIG);
    const metadata = { name: "web-1", namespace: "shop", labels: { app: "web", "security.istio.io/tlsMode": "istio" } };
    const ready = { podIP: POD_IP, phase: "Running", conditions: [{ type: "Ready", status: "True" }] };
    const spec = { containers: [{ name: "app", ports: [{ name: "http", containerPort: 8080 }] }] };
    const pod = { apiVersion: "v1", kind: "Pod", metadata, spec, status: ready };
    await writeFile(join(folder, "state/registry/pods.json"), JSON.stringify({ items: [pod] }));
    const main = join(apps, "control-plane/dist/main.js");
    const flags = ["--state-dir", join(folder, "state"), "--config", join(folder, "config"), "--host", machine.outside];
    launch(machine.networkPrefix, [process.execPath, main, ...flags]);
    await eventually(
      "the control plane",
      () => readFile(join(folder, "state/control-plane.json"), "utf8").catch(() => undefined),
      120_000,
    );
  }

  /** Init container and sidecar of the deployment. */
  async function injected(): Promise<readonly [Container, Container]> {
    const [deployment, mesh] = [join(folder, "web.yaml"), join(folder, "mesh.yaml")];
    await writeFile(deployment, DEPLOYMENT);
    await writeFile(mesh, `defaultConfig: { discoveryAddress: "${machine.outside}:15012" }\n`);
    const lateen = [process.execPath, join(apps, "cli/bin/lateen.mjs"), "kube-inject", "-f", deployment];
    const ca = `global.caAddress=${machine.outside}:8060`;
    const { code, stdout, stderr } = await runCommand([...lateen, "--meshConfigFile", mesh, "--set", ca]);
    if (code !== 0) throw new Error(stderr);
    const read = valueFromText(stdout, "injected");
    const { spec } = (read.ok ? read.value.value : undefined) as {
      spec: { template: { spec: { initContainers: Container[]; containers: Container[] } } };
    };
    const { initContainers, containers } = spec.template.spec;
    const [init] = initContainers;
    const sidecar = containers.find(({ name }) => name === "istio-proxy");
    if (init === undefined || sidecar === undefined) throw new Error(stdout);
    return [init, sidecar];
  }

  /** What the kubelet makes of the container's variables and volumes. */
  async function podVariables(privatePem: string, { env }: Container): Promise<Record<string, string>> {
    const request = { privatePem, namespace: "shop", serviceAccount: "default", pod: "web-1", ttlSeconds: 3600 };
    await writeFile(join(folder, "istio-token"), mintToken(request, systemClock()));
    await mkdir(join(folder, "podinfo"));
    await writeFile(join(folder, "podinfo/labels"), 'app="web"\n');
    const fields: Readonly<Record<string, string>> = {
      "metadata.name": "web-1",
      "metadata.namespace": "shop",
      "status.podIP": POD_IP,
      "status.hostIP": "198.51.100.9",
      "spec.serviceAccountName": "default",
      "spec.nodeName": "node-1",
    };
    const own = env.flatMap(({ name, value, valueFrom }) => {
      const text = value ?? fields[valueFrom?.fieldRef?.fieldPath ?? ""];
      return text === undefined ? [] : [[name, text] as const];
    });
    return {
      ...Object.fromEntries(own),
      LATEEN_RUN_DIR: join(folder, "proxy"),
      LATEEN_TOKEN_FILE: join(folder, "istio-token"),
      LATEEN_ROOT_CERT_FILE: join(folder, "state/ca/root-cert.pem"),
      LATEEN_POD_INFO: join(folder, "podinfo"),
      LATEEN_SERVER_NAME: "istiod.istio-system.svc",
      LATEEN_CA_SERVER_NAME: "istio-citadel.istio-system.svc",
    };
  }

  it("takes what comes to the application, and refuses it in plaintext where mTLS is demanded", async () => {
    expect(await status(inPod, "http://127.0.0.1:8080/")).toBe("200");
    expect(await status(outside, `http://${POD_IP}:8080/`)).toBe("000");
  });

  it("answers the kubelet's probes for the application", async () => {
    const probe = `http://${POD_IP}:15020/app-health/app/readyz`;
    expect(await status(outside, probe)).toBe("200");
    await inPod("curl", "-sS", "http://127.0.0.1:8080/break");
    expect(await status(outside, probe)).toBe("500");
    expect(await status(outside, `http://${POD_IP}:15021/healthz/ready`)).toBe("200");
    expect(await status(outside, `http://${POD_IP}:15000/config_dump`)).toBe("000");
  });

  it("takes what the application sends, and gives the metrics of both", async () => {
    const server = `require("node:http").createServer((_, answer) => answer.end("outside")).listen(7070, "${machine.outside}", () => console.log("ready"))`;
    await start(machine.networkPrefix, [process.execPath, "-e", server]);
    expect((await inPod("curl", "-sS", `http://${machine.outside}:7070/`)).stdout).toBe("outside");
    const text = await eventually(
      "the connection in the metrics",
      async () => {
        const { stdout } = await outside("curl", "-sS", `http://${POD_IP}:15020/stats/prometheus`);
        return stdout.includes("PassthroughCluster") ? stdout : undefined;
      },
      60_000,
      200,
    );
    expect(text).toContain("\napp_jobs 7\n");
    expect(text).toContain("envoy_server_live 1");
  });

  it("ends when the pod's own work says that it is done, and only then", async () => {
    expect(await status(outside, "-X", "POST", `http://${POD_IP}:15020/quitquitquit`)).toBe("403");
    const ended = once(proxy, "exit");
    expect(await status(inPod, "-X", "POST", "http://127.0.0.1:15020/quitquitquit")).toBe("200");
    expect((await ended)[0]).toBe(0);
  });
});
