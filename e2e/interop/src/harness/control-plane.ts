import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { signCsr } from "@lateen/adapter-grpc";
import { systemClock } from "@lateen/kernel";
import { createCsr, createRootCa, createTokenKey, mintToken } from "@lateen/pki";
import type { ChannelOptions } from "@lateen/ports";
import { eventually } from "@lateen/test-support";
import { read } from "./http.ts";
import { app, Program } from "./programs.ts";

/** A pod as the harness runs it. */
export interface Pod {
  readonly name: string;
  readonly namespace: string;
  readonly address: string;
  readonly serviceAccount: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly ports: readonly { readonly name?: string; readonly containerPort: number }[];
  /** Whether a proxy in front of it takes mesh mTLS. */
  readonly mesh: boolean;
  /** Of a StatefulSet: its name below that of its Service. */
  readonly hostname?: string;
  readonly subdomain?: string;
}

/** Certificate, key and roots of a workload, PEM. */
export interface Identity {
  readonly certChainPem: string;
  readonly privateKeyPem: string;
  readonly rootsPem: string;
}

interface TypeStatus {
  readonly resources: number;
  readonly nack?: { readonly names: readonly string[]; readonly reason: string };
  readonly failure?: string;
}
export interface SyncStatus {
  readonly revision: number;
  readonly proxies: readonly {
    readonly node: string;
    readonly pod: string;
    readonly synced: boolean;
    readonly types: Readonly<Record<string, TypeStatus>>;
  }[];
  readonly warnings: readonly {
    readonly path: string;
    readonly message: string;
    readonly origin: { readonly file: string; readonly line: number; readonly column: number };
  }[];
}

export const SERVER_NAME = "istiod.istio-system.svc";

/** Our control plane as a process, with a certificate authority and a token key made for it. */
export class ControlPlane {
  readonly folder: string;
  readonly rootPem: string;
  #process: Program | undefined;
  #port = 0;
  #ports: Readonly<Record<string, number>> = {};
  readonly #tokenKey: string;
  readonly #flags: readonly string[];

  private constructor(folder: string, rootPem: string, tokenKey: string, flags: readonly string[]) {
    this.#flags = flags;
    this.folder = folder;
    this.rootPem = rootPem;
    this.#tokenKey = tokenKey;
  }

  /**
   * Starts one whose configuration is the file `config/base.yaml` with this text.
   * @param flags further ones of its command line
   */
  static async start(
    folder: string,
    base: string,
    pods: readonly Pod[],
    flags: readonly string[] = [],
  ): Promise<ControlPlane> {
    for (const name of ["ca", "config", "registry", "files", "pods"]) {
      await mkdir(join(folder, name), { recursive: true, mode: 0o700 });
    }
    const ca = createRootCa({ trustDomain: "cluster.local" }, systemClock());
    const files = {
      "ca/ca-key.pem": ca.keyPem,
      "ca/ca-cert.pem": ca.certPem,
      "ca/cert-chain.pem": ca.chainPem,
      "ca/root-cert.pem": ca.rootPem,
    };
    const token = createTokenKey();
    for (const [name, text] of Object.entries({ ...files, "token-pub.pem": token.publicPem })) {
      await writeFile(join(folder, name), text, { mode: 0o600 });
    }
    const plane = new ControlPlane(folder, ca.rootPem, token.privatePem, flags);
    await plane.#write("base.yaml", base);
    await plane.setPods(pods);
    await plane.#start();
    return plane;
  }

  async #start(): Promise<void> {
    const ports = ["xds", "ca", "config", "telemetry", "metrics", "http", "prometheus"];
    this.#process = new Program("control plane", [
      process.execPath,
      app("control-plane"),
      ...["--state-dir", this.folder, "--config", join(this.folder, "files"), "--host", "127.0.0.1"],
      ...this.#flags,
      // Proxies know the port from before.
      ...ports.flatMap((name) => [`--${name}-port`, name === "xds" ? String(this.#port) : "0"]),
    ]);
    const served = await eventually(
      "the control plane serves",
      async () => {
        this.#process?.alive();
        const ready = await read({ socketPath: join(this.folder, "control.sock"), path: "/ready" });
        if (ready.status !== 200) throw new Error(ready.body);
        return JSON.parse(await readFile(join(this.folder, "control-plane.json"), "utf8")) as Readonly<
          Record<string, number>
        >;
      },
      60_000,
    );
    this.#ports = served;
    this.#port = this.portOf("xds");
  }

  /** Ends it as `kill -9` does. */
  async kill(): Promise<void> {
    await this.#process?.kill();
    // It tells of the one before.
    await rm(join(this.folder, "control-plane.json"), { force: true });
  }

  /** Starts it again after {@link kill}, at the same port and with what is in its folder; resolves when it serves. */
  restart(): Promise<void> {
    return this.#start();
  }

  /** Sum of a metric over its labels; 0 when there is none. */
  async metric(name: string): Promise<number> {
    const { body } = await read({ host: "127.0.0.1", port: this.portOf("metrics"), path: "/metrics" });
    const values = body.split("\n").filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `));
    return values.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" ") + 1)), 0);
  }

  /** Port of one of its services, by its name in `control-plane.json`. */
  portOf(name: string): number {
    const port = this.#ports[name];
    if (port === undefined) throw new Error(`the control plane has no port ${name}`);
    return port;
  }

  get port(): number {
    return this.#port;
  }

  async #write(name: string, text: string): Promise<void> {
    const path = join(this.folder, "files", name);
    await writeFile(`${path}.tmp`, text);
    await rename(`${path}.tmp`, path);
  }

  /** Which pods there are. */
  async setPods(pods: readonly Pod[]): Promise<void> {
    const path = join(this.folder, "registry/pods.json");
    await writeFile(`${path}.tmp`, JSON.stringify({ apiVersion: "v1", kind: "List", items: pods.map(podObject) }));
    await rename(`${path}.tmp`, path);
  }

  token(pod: Pick<Pod, "namespace" | "serviceAccount" | "name">): string {
    const { namespace, serviceAccount, name } = pod;
    const request = { privatePem: this.#tokenKey, namespace, serviceAccount, pod: name, ttlSeconds: 3600 };
    return mintToken(request, systemClock());
  }

  /** How the workload's agent reaches this control plane with its token. */
  channel(pod: Pod): ChannelOptions {
    return {
      address: `127.0.0.1:${this.#port}`,
      serverName: SERVER_NAME,
      identity: () => ({ rootPem: this.rootPem, token: this.token(pod) }),
    };
  }

  /** A certificate from the CA, asked for as an agent does. */
  async identity(pod: Pod): Promise<Identity> {
    const spiffeId = `spiffe://cluster.local/ns/${pod.namespace}/sa/${pod.serviceAccount}`;
    const { csrPem, privateKeyPem } = createCsr({ spiffeId });
    const chain = await signCsr(this.channel(pod), csrPem, 3600);
    return { certChainPem: chain.slice(0, -1).join(""), privateKeyPem, rootsPem: this.rootPem };
  }

  async #get<T>(path: string): Promise<T> {
    const { status, body } = await read({ socketPath: join(this.folder, "control.sock"), path });
    if (status !== 200) throw new Error(`${path}: ${status} ${body}`);
    return JSON.parse(body) as T;
  }

  /** Cluster address of a Service, which may have been assigned. */
  async clusterAddress(namespace: string, name: string): Promise<string> {
    interface Objects {
      readonly objects: readonly { readonly object: { readonly spec: { readonly clusterIP?: string } } }[];
    }
    const found = await this.#get<Objects>(`/config/objects?kind=Service&namespace=${namespace}&name=${name}`);
    const address = found.objects[0]?.object.spec.clusterIP;
    if (address === undefined) throw new Error(`Service ${namespace}/${name} has no cluster address`);
    return address;
  }

  /** Names that a workload's proxy knows, with their addresses. */
  async names(pod: Pod): Promise<ReadonlyMap<string, readonly string[]>> {
    interface Table {
      readonly table?: Readonly<Record<string, { readonly ips?: readonly string[] }>>;
    }
    const tables = await this.#get<readonly Table[]>(`/debug/ndsz?proxyID=${pod.name}.${pod.namespace}`);
    return new Map(
      tables.flatMap(({ table = {} }) => Object.entries(table).map(([name, { ips = [] }]) => [name, ips] as const)),
    );
  }

  sync(): Promise<SyncStatus> {
    return this.#get("/debug/syncz");
  }

  /** Resolves when every proxy that is connected has answered to the configuration in force, also one that came after it. */
  async settled(): Promise<void> {
    const { revision } = await this.sync();
    await this.#get(`/debug/wait?revision=${revision}&timeoutMs=20000`);
  }

  configDump(pod: Pod): Promise<unknown> {
    return this.#get(`/debug/config_dump?proxyID=${pod.name}.${pod.namespace}`);
  }

  /**
   * Puts a text in force beside the base and resolves when every proxy has answered to it (`synced: false`: when it was accepted).
   * @throws Error when an object was refused by validation.
   */
  async apply(text: string, { synced = true } = {}): Promise<void> {
    interface Rejected {
      readonly revision: number;
      readonly rejected: readonly { readonly kind: string; readonly name: string; readonly message: string }[];
    }
    const before = await this.#get<Rejected>("/config/rejected");
    if (text === this.#applied) return;
    await this.#write("case.yaml", text);
    this.#applied = text;
    const after = await eventually("the file is read", async () => {
      const now = await this.#get<Rejected>("/config/rejected");
      return now.revision > before.revision ? now : undefined;
    });
    const [refused] = after.rejected;
    if (refused !== undefined) throw new Error(`${refused.kind} ${refused.name}: ${refused.message}`);
    if (synced) await this.#get(`/debug/wait?revision=${after.revision}&timeoutMs=20000`);
  }
  #applied = "";

  /** Everything that a proxy refused or the compiler could not say, as texts. */
  async refusals(): Promise<readonly string[]> {
    const { proxies } = await this.sync();
    return proxies.flatMap(({ pod, types }) =>
      Object.entries(types).flatMap(([typeUrl, { nack, failure }]) => {
        const type = typeUrl.split(".").at(-1);
        return [
          ...(nack === undefined ? [] : [`${pod} ${type}: ${nack.reason}`]),
          ...(failure === undefined ? [] : [`${pod} ${type} cannot be compiled: ${failure}`]),
        ];
      }),
    );
  }

  /** What the control plane warns of, each with its place. */
  async warnings(): Promise<readonly string[]> {
    const { warnings } = await this.sync();
    return warnings.map(
      ({ path, message, origin }) => `${origin.file}:${origin.line}:${origin.column}: ${path}: ${message}`,
    );
  }

  /** @throws the error, with what proxies refused and what the control plane said last. */
  async explain(error: Error): Promise<never> {
    const refusals = await this.refusals().catch((reason: Error) => [reason.message]);
    throw new Error(`${error.message}\nrefused: ${refusals.join("\n")}\n${this.log.slice(-2_000)}`, { cause: error });
  }

  get log(): string {
    return this.#process?.output ?? "";
  }

  async stop(): Promise<void> {
    await this.#process?.stop();
  }
}

function podObject(pod: Pod): object {
  const hash = "5f6b";
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name: pod.name,
      namespace: pod.namespace,
      labels: {
        ...pod.labels,
        ...(pod.mesh ? { "security.istio.io/tlsMode": "istio" } : {}),
        "pod-template-hash": hash,
      },
      ownerReferences: [{ apiVersion: "apps/v1", kind: "ReplicaSet", name: `${pod.name}-${hash}`, controller: true }],
    },
    spec: {
      serviceAccountName: pod.serviceAccount,
      ...(pod.hostname === undefined ? {} : { hostname: pod.hostname, subdomain: pod.subdomain }),
      nodeName: "localhost",
      containers: [{ name: "app", ports: pod.ports.map((port) => ({ ...port, protocol: "TCP" })) }],
    },
    status: {
      phase: "Running",
      podIP: pod.address,
      podIPs: [{ ip: pod.address }],
      hostIP: "127.0.0.1",
      conditions: [{ type: "Ready", status: "True" }],
    },
  };
}
