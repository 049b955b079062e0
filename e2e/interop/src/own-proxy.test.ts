import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { eventually } from "@lateen/test-support";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { GrpcClient, startGrpc } from "./harness/grpc.ts";
import { ask, read } from "./harness/http.ts";
import { LocalMesh } from "./harness/local-mesh.ts";
import { noEnvoy } from "./harness/mesh.ts";
import { Program, program } from "./harness/programs.ts";

const sample = resolve(import.meta.dirname, "../../../samples/bookinfo");
const skip = noEnvoy();
const title = `the bootstraps that lateen prints${skip === undefined ? "" : ` (skipped: ${skip})`}`;
/** Port that the gateway's Service leads to; ours is moved out of the way of Envoy's. */
const GATEWAY = 8080;
const ECHO_PORT = 17_070;
const ADMIN_FILE = "envoy-admin";

const ECHO = `---
apiVersion: v1
kind: Service
metadata: { name: echo, namespace: default }
spec: { selector: { app: echo }, ports: [{ name: grpc, port: 7070, targetPort: 7070 }] }
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: echo, namespace: default }
spec: { host: echo, trafficPolicy: { tls: { mode: ISTIO_MUTUAL } } }
`;

const FLUSH = `
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: { name: flush, namespace: istio-system }
spec:
  configPatches:
    - { applyTo: BOOTSTRAP, match: { context: GATEWAY }, patch: { operation: MERGE, value: { stats_flush_interval: 1.5s } } }
`;

/** How proxies are started, and what the gateway's says of itself. */
const SETTINGS = `---
apiVersion: v1
kind: ConfigMap
metadata: { name: istio, namespace: istio-system }
data:
  mesh: |
    defaultConfig:
      runtimeValues: { lateen.test.flag: "true" }
      proxyStatsMatcher: { inclusionPrefixes: [cluster.outbound] }
---
apiVersion: networking.istio.io/v1beta1
kind: ProxyConfig
metadata: { name: edge, namespace: istio-system }
spec:
  selector: { matchLabels: { istio: ingressgateway } }
  environmentVariables: { ISTIO_META_TEAM: edge, ISTIO_METAJSON_TIER: '{ "level": 1 }' }
`;

describe.skipIf(skip !== undefined)(title, () => {
  let mesh: LocalMesh;
  const stops: (() => Promise<unknown>)[] = [];
  beforeAll(async () => {
    const settings = join(tmpdir(), `lateen-settings-${process.pid}.yaml`);
    writeFileSync(settings, SETTINGS);
    stops.push(async () => rmSync(settings, { force: true }));
    const files = [sample, join(sample, "rules/strict-mtls.yaml"), settings].flatMap((file) => ["-f", file]);
    const flags = [...files, "--ingress-port", "18080"];
    // Certificates that live so short are renewed while the test looks.
    mesh = await LocalMesh.start(flags, { LATEEN_CERT_TTL: "20s" });
    stops.push(() => mesh.stop());
  }, 150_000);
  afterAll(async () => {
    for (const stop of stops.reverse()) await stop();
  });

  const page = (path: string) =>
    ask({ path, headers: { host: "bookinfo.example" } }, { host: "127.0.0.1", port: GATEWAY });

  it("bring an unmodified Envoy into the mesh, patched as EnvoyFilters say, with a certificate that is renewed", async () => {
    const patch = join(mesh.home, "flush.yaml");
    writeFileSync(patch, FLUSH);
    expect(await mesh.lateen("apply", "-f", patch)).toMatchObject({ code: 0 });
    const printed = await mesh.lateen("proxy-config", "bootstrap", "istio-ingressgateway", "--stock");
    expect(printed).toMatchObject({ code: 0, stderr: expect.stringContaining("the agent of istio-ingressgateway") });
    // As the ProxyConfig says.
    expect(JSON.parse(printed.stdout)).toMatchObject({
      node: { metadata: { TEAM: "edge", TIER: { level: 1 }, NAMESPACE: "istio-system" } },
    });
    const [file, adminFile] = [join(mesh.home, "envoy.json"), join(mesh.home, ADMIN_FILE)];
    writeFileSync(file, printed.stdout);
    const envoy = new Program("Envoy", [
      program("envoy").path ?? "",
      ...[
        "-c",
        file,
        "--admin-address-path",
        adminFile,
        "--concurrency",
        "1",
        "--disable-hot-restart",
        "-l",
        "warning",
      ],
    ]);
    stops.push(() => envoy.stop());
    await eventually(
      "the page comes through Envoy",
      async () => {
        envoy.alive();
        const { status, body } = await page("/productpage");
        return status === 200 && /<html/i.test(body) ? true : undefined;
      },
      60_000,
    );
    const admin = async (path: string) => {
      const [host = "", port] = readFileSync(adminFile, "utf8").split(":");
      return (await read({ host, port: Number(port), path })).body;
    };
    expect(await admin("/config_dump?mask=bootstrap.stats_flush_interval")).toContain(
      '"stats_flush_interval": "1.500s"',
    );
    // As the mesh's defaultConfig says: a feature flag, and no statistics but those asked for and Envoy's own.
    expect(await admin("/runtime")).toContain("lateen.test.flag");
    expect(await admin("/stats?filter=^server\\.live$")).toContain("server.live: 1");
    expect(await admin("/stats?filter=^http\\.")).not.toContain("http.");
    // STRICT in the whole mesh: the page's proxy took the gateway's certificate.
    expect(await admin("/stats?filter=productpage.*ssl.handshake")).toMatch(/ssl\.handshake: [1-9]/);
    const serials = async () => {
      interface Certificates {
        readonly certificates: readonly { readonly cert_chain: readonly { readonly serial_number: string }[] }[];
      }
      const { certificates } = JSON.parse(await admin("/certs")) as Certificates;
      return certificates.flatMap((one) => one.cert_chain.map(({ serial_number }) => serial_number));
    };
    const before = await serials();
    expect(before.length).toBeGreaterThan(0);
    const failures: number[] = [];
    await eventually(
      "another certificate is in use",
      async () => {
        const { status } = await page("/api/v1/products/0");
        if (status !== 200) failures.push(status);
        const now = await serials();
        return now.length > 0 && now.every((serial) => !before.includes(serial)) ? true : undefined;
      },
      60_000,
      100,
    );
    for (let i = 0; i < 20; i++)
      failures.push(...[(await page("/productpage")).status].filter((status) => status !== 200));
    expect(failures).toEqual([]);
    const known = JSON.parse((await mesh.lateen("proxy-status", "-o", "json")).stdout) as unknown;
    expect(JSON.stringify(known)).not.toContain("nack");
  });

  const clients = [
    { name: "@grpc/grpc-js-xds", argv: [process.execPath, join(import.meta.dirname, "clients/client.mjs")] },
    {
      name: "python3-grpcio",
      argv: [program("python3-grpcio").path ?? "", join(import.meta.dirname, "clients/client.py")],
    },
  ].map((client) => ({ ...client, missing: client.argv[0] === "" }));

  describe("bring gRPC without a proxy into it", () => {
    beforeAll(async () => {
      const server = await startGrpc("echo", "127.0.0.1", ECHO_PORT);
      stops.push(server.close);
      const rules = join(mesh.home, "echo.yaml");
      writeFileSync(rules, ECHO);
      expect(await mesh.lateen("apply", "--wait", "-f", rules)).toMatchObject({ code: 0 });
      const port = String(ECHO_PORT);
      await mesh.ready(mesh.spawn("lateen run", ["run", "--service", "echo", "--port", port, "--", "sleep", "600"]));
    });

    it.each(clients)("$name", async ({ argv, missing }) => {
      if (missing) return;
      const printed = await mesh.lateen("proxy-config", "bootstrap", "productpage-v1", "--grpc");
      expect(printed).toMatchObject({ code: 0 });
      const file = join(mesh.home, "grpc.json");
      writeFileSync(file, printed.stdout);
      const client = new GrpcClient(argv, file);
      stops.push(() => client.stop());
      await eventually(
        "calls reach the server, over mTLS",
        async () => {
          const tally = await client.call("xds:///echo.default.svc.cluster.local:7070", 5);
          if (tally.echo !== 5) throw new Error(JSON.stringify(tally));
          return true;
        },
        60_000,
      );
    });
  });

  it("are refused for what is not there", async () => {
    expect(await mesh.lateen("proxy-config", "bootstrap", "nobody", "--stock")).toMatchObject({ code: 65 });
    expect(await mesh.lateen("proxy-config", "cluster", "productpage-v1", "--stock")).toMatchObject({ code: 64 });
    expect(await mesh.lateen("proxy-config", "bootstrap", "productpage-v1", "--stock", "--grpc")).toMatchObject({
      code: 64,
    });
  });
});
