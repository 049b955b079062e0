import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { configKinds, isPermitted, type PermittedComponent } from "@lateen/adapter-kubernetes";
import { kinds } from "@lateen/mesh-model";
import { type ApiRequest, eventually, freePorts, startApiServer, type TestApiServer } from "@lateen/test-support";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const LATEEN = resolve(import.meta.dirname, "../../../node_modules/.bin/lateen");
const PATIENCE_MS = 60_000;
const ROOT = "istio-system";
type Json = Readonly<Record<string, unknown>>;

/** The components of a control plane as processes, each with an account of its own that may do what the table of permissions says. */
class ControlPlane {
  readonly server: TestApiServer;
  readonly #dir: string;
  readonly #processes = new Map<string, ChildProcess>();
  /** What is not to be started again. */
  readonly #killed = new WeakSet<ChildProcess>();
  readonly refused: string[] = [];

  constructor(server: TestApiServer, dir: string) {
    this.server = server;
    this.#dir = dir;
    server.tokens.clear();
    server.authorize = (asked) => this.#permits(asked);
  }

  path(...parts: readonly string[]): string {
    return join(this.#dir, ...parts);
  }

  #permits(asked: ApiRequest): boolean {
    const component = (asked.token ?? "").replace(/^api-/, "").replace(/-\d$/, "") as PermittedComponent;
    const selected = /^metadata\.name=(.*)$/.exec(asked.query.get("fieldSelector") ?? "")?.[1];
    const permitted = isPermitted(component, { ...asked, name: asked.name ?? selected });
    if (!permitted) this.refused.push(`${component}: ${asked.verb} ${asked.path}`);
    return permitted;
  }

  /** Starts a component and waits for what it says of its ports. */
  async start(name: string, flags: Readonly<Record<string, string>>, until: string): Promise<Record<string, number>> {
    const app = name.replace(/-\d$/, "");
    const dir = this.path(name);
    mkdirSync(dir, { recursive: true });
    this.server.tokens.add(`api-${name}`);
    this.server.reviewed.set(`mesh-${name}`, {
      username: `system:serviceaccount:${ROOT}:istio-${app}-service-account`,
      audiences: ["istio-ca"],
    });
    writeFileSync(join(dir, "token"), `mesh-${name}`);
    writeFileSync(join(dir, "kubeconfig"), this.server.kubeconfig({ token: `api-${name}` }));
    const ports = join(dir, "ports.json");
    await rm(ports, { force: true });
    const all: Record<string, string> = {
      kubeconfig: join(dir, "kubeconfig"),
      "ports-file": ports,
      "token-review": "kubernetes",
      "metrics-port": "0",
      ...flags,
    };
    const args = Object.entries(all).map(([flag, value]) => `--${flag}=${value}`);
    let ended: Error | undefined;
    this.#run(name, args, ports, (log) => (ended = new Error(log)));
    return eventually(
      `${name} (${until})`,
      async () => {
        const found = existsSync(ports) ? JSON.parse(readFileSync(ports, "utf8")) : {};
        if (found[until] !== undefined) return found;
        if (ended !== undefined) throw ended;
        return undefined;
      },
      PATIENCE_MS,
    );
  }

  /** A galley that ends is started again, as a kubelet does: on a busy machine a leader may lose its lease, and then it ends. */
  #run(name: string, args: readonly string[], ports: string, ended: (log: string) => void): void {
    const [, app = name] = /^(.*)-\d$/.exec(name) ?? [];
    const log = this.path(name, "log");
    const file = openSync(log, "a");
    const child = spawn(LATEEN, ["serve", app, ...args], { stdio: ["ignore", file, file] });
    closeSync(file);
    this.#processes.set(name, child);
    child.once("exit", () => {
      if (this.#killed.has(child)) return;
      ended(readFileSync(log, "utf8").slice(-2000));
      if (app !== "galley") return;
      rmSync(ports, { force: true });
      this.#run(name, args, ports, ended);
    });
  }

  async kill(name: string): Promise<void> {
    const child = this.#processes.get(name);
    if (child === undefined) return;
    this.#killed.add(child);
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit");
    child.kill("SIGKILL");
    await exited;
  }

  async stop(): Promise<void> {
    for (const name of this.#processes.keys()) await this.kill(name);
    await this.server.stop();
    await rm(this.#dir, { recursive: true, force: true });
  }
}

describe("a control plane on a Kubernetes API server", { timeout: 240_000 }, () => {
  let plane: ControlPlane;
  let identity: (name: string) => Record<string, string>;
  let galleys: Readonly<Record<string, number>>;
  let pilot: { readonly metrics: number };

  beforeAll(async () => {
    const server = await startApiServer({ resources: configKinds().map(resourceOfKind) });
    plane = new ControlPlane(server, await mkdtemp(join(tmpdir(), "lateen-k8s-")));
    server.apply(
      ...["shop", ROOT].map((name) => ({ apiVersion: "v1", kind: "Namespace", metadata: { name } })),
      service("cart"),
      slice("cart", ["10.1.0.1"]),
      rule("cart", "1s"),
      gateway("site"),
      secret("site"),
      gatewayClass(),
      secret("other"),
    );
    const { ca } = await plane.start(
      "citadel",
      { "ca-store": "kubernetes", "ca-port": "0", "publish-root": "true" },
      "ca",
    );
    const root = await eventually("the root certificate", async () => {
      const data = server.get("v1", "ConfigMap", "istio-ca-root-cert", ROOT)?.data as
        | Record<string, string>
        | undefined;
      return data?.["root-cert.pem"];
    });
    identity = (name) => {
      mkdirSync(plane.path(name), { recursive: true });
      writeFileSync(plane.path(name, "root-cert.pem"), root);
      return { "run-dir": plane.path(name), "ca-address": `127.0.0.1:${ca}` };
    };
    // Replicas listen on one port each, which clients know before anyone leads.
    const [one = 0, two = 0] = await freePorts(2);
    galleys = { "galley-1": one, "galley-2": two };
    for (const [name, port] of Object.entries(galleys)) await startGalley(name, port, "metrics");
    const flags = {
      ...identity("pilot"),
      registry: "kubernetes",
      "galley-address": Object.values(galleys)
        .map((port) => `127.0.0.1:${port}`)
        .join(","),
      "xds-port": "0",
      "http-port": "0",
      "control-socket": plane.path("pilot", "socket"),
    };
    pilot = (await plane.start("pilot", flags, "xds")) as { readonly metrics: number };
  }, 200_000);
  afterAll(() => plane?.stop());

  const startGalley = (name: string, port: number, until: string) => {
    const flags = { ...identity(name), config: "kubernetes", "config-port": String(port) };
    return plane.start(name, { ...flags, "control-socket": plane.path(name, "socket") }, until);
  };
  const debug = (page: string) => ask(plane.path("pilot", "socket"), `/debug/${page}`);
  const endpoints = async () => {
    const found = (await debug("endpointz")) as readonly { svc: string; endpoints: readonly { address: string }[] }[];
    const cart = found.find(({ svc }) => svc === "cart.shop.svc.cluster.local");
    return cart?.endpoints.map(({ address }) => address).join() ?? "";
  };
  const timeout = async () => {
    const found = (await debug("configz")) as readonly {
      kind: string;
      spec: { http: readonly { timeout: string }[] };
    }[];
    return found.find(({ kind }) => kind === "VirtualService")?.spec.http[0]?.timeout;
  };
  const becomes = <T>(what: string, probe: () => Promise<T>, wanted: T) =>
    eventually(`${what} is ${wanted}`, async () => ((await probe()) === wanted ? true : undefined), PATIENCE_MS);
  const leader = async () => {
    for (const name of Object.keys(galleys)) {
      const ports = plane.path(name, "ports.json");
      if (existsSync(ports) && JSON.parse(readFileSync(ports, "utf8")).config !== undefined) return name;
    }
    return undefined;
  };

  it("serves services, endpoints and rules of the cluster, and follows them", async () => {
    expect(await endpoints()).toBe("10.1.0.1");
    expect(await timeout()).toBe("1s");
    plane.server.apply(slice("cart", ["10.1.0.1", "10.1.0.2"]), rule("cart", "2s"));
    await becomes("endpoints", endpoints, "10.1.0.1,10.1.0.2");
    await becomes("the timeout", timeout, "2s");
  });

  it("writes statuses", async () => {
    await eventually(
      "the status of the class",
      async () => {
        const found = plane.server.get("gateway.networking.k8s.io/v1", "GatewayClass", "istio")?.status;
        const { conditions = [] } = (found ?? {}) as { readonly conditions?: readonly Json[] };
        return conditions.some(({ type, status }) => type === "Accepted" && status === "True") ? true : undefined;
      },
      PATIENCE_MS,
    );
  });

  it("reads the certificates that are named, and no others", () => {
    const read = plane.server.requests.filter(({ verb, plural, namespace }) => {
      return verb === "get" && plural === "secrets" && namespace === "shop";
    });
    expect(read.map(({ name }) => name)).toEqual(["site"]);
  });

  it("keeps the last good version of a rule that became bad, also under the next leader", async () => {
    plane.server.apply({ ...rule("cart", "3s"), spec: { hosts: ["cart"], htttp: [] } });
    await eventually(
      "galley notes it",
      async () => plane.server.get("v1", "ConfigMap", "lateen-galley", ROOT),
      PATIENCE_MS,
    );
    // Five seconds is the promise: so much of it is the time for which a lease outlives its holder.
    const lease = plane.server.get("coordination.k8s.io/v1", "Lease", "galley", ROOT)?.spec;
    expect(lease).toMatchObject({ leaseDurationSeconds: 4 });
    const before = await eventually("one leads", leader, PATIENCE_MS);
    await plane.kill(before);
    const next = Object.keys(galleys).find((name) => name !== before) ?? "";
    await eventually(
      "another leads",
      async () => {
        const ports = JSON.parse(readFileSync(plane.path(next, "ports.json"), "utf8"));
        return ports.config;
      },
      PATIENCE_MS,
      20,
    );
    await startGalley(before, galleys[before] ?? 0, "metrics");
    expect(await timeout()).toBe("2s");
    plane.server.apply(rule("cart", "4s"));
    await becomes("the timeout", timeout, "4s");
  });

  it("goes on with what it knows while the API server is gone, and catches up", async () => {
    await plane.server.stop();
    plane.server.storage.compact();
    plane.server.apply(slice("cart", ["10.1.0.9"]));
    for (let look = 0; look < 5; look++) {
      expect([await endpoints(), await timeout(), await isReady(pilot.metrics)]).toEqual([
        "10.1.0.1,10.1.0.2",
        "4s",
        200,
      ]);
      await new Promise((done) => setTimeout(done, 200));
    }
    await plane.server.start();
    await becomes("endpoints", endpoints, "10.1.0.9");
  });

  it("asks for nothing that its table of permissions does not name", () => {
    expect(plane.refused).toEqual([]);
  });
});

function resourceOfKind(kind: keyof typeof kinds) {
  const { group, versions, plural, scope, writtenAs = kind } = { writtenAs: undefined, ...kinds[kind] };
  return { group, versions, plural, kind: writtenAs, namespaced: scope === "Namespaced", status: true };
}

const service = (name: string): Json => ({
  apiVersion: "v1",
  kind: "Service",
  metadata: { name, namespace: "shop" },
  spec: { clusterIP: "10.96.0.1", selector: { app: name }, ports: [{ name: "http", port: 80 }] },
});
const slice = (name: string, addresses: readonly string[]): Json => ({
  apiVersion: "discovery.k8s.io/v1",
  kind: "EndpointSlice",
  metadata: { name: `${name}-1`, namespace: "shop", labels: { "kubernetes.io/service-name": name } },
  addressType: "IPv4",
  endpoints: addresses.map((address) => ({ addresses: [address] })),
  ports: [{ name: "http", port: 8080, protocol: "TCP" }],
});
const rule = (name: string, timeout: string): Json => ({
  apiVersion: "networking.istio.io/v1",
  kind: "VirtualService",
  metadata: { name, namespace: "shop" },
  spec: { hosts: [name], http: [{ route: [{ destination: { host: name } }], timeout }] },
});

const gateway = (credentialName: string): Json => ({
  apiVersion: "networking.istio.io/v1",
  kind: "Gateway",
  metadata: { name: "edge", namespace: "shop" },
  spec: {
    selector: { istio: "ingressgateway" },
    servers: [
      {
        port: { number: 443, name: "https", protocol: "HTTPS" },
        hosts: ["*"],
        tls: { mode: "SIMPLE", credentialName },
      },
    ],
  },
});
const gatewayClass = (): Json => ({
  apiVersion: "gateway.networking.k8s.io/v1",
  kind: "GatewayClass",
  metadata: { name: "istio" },
  spec: { controllerName: "istio.io/gateway-controller" },
});
const secret = (name: string): Json => ({
  apiVersion: "v1",
  kind: "Secret",
  metadata: { name, namespace: "shop" },
  data: { "tls.crt": "AA==", "tls.key": "AA==" },
});

function ask(socketPath: string, path: string): Promise<unknown> {
  return new Promise((done, fail) => {
    request({ socketPath, path }, (answer) => {
      let text = "";
      answer.on("data", (chunk) => (text += chunk));
      answer.on("end", () => (answer.statusCode === 200 ? done(JSON.parse(text)) : fail(new Error(text))));
    })
      .on("error", fail)
      .end();
  });
}

async function isReady(port: number): Promise<number> {
  return (await fetch(`http://127.0.0.1:${port}/ready`)).status;
}
