import { type ChildProcess, spawn } from "node:child_process";
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ensureService } from "@lateen/services";
import { createTestCa } from "../certificates/test-ca.ts";
import { freePorts } from "../ports/free-port.ts";
import { eventually } from "../waiting/eventually.ts";

const PROGRAMS = ["etcd", "kube-apiserver", "kube-controller-manager"] as const;
type Program = (typeof PROGRAMS)[number];
/** They start in seconds; a busy machine takes its time. */
const PATIENCE_MS = 180_000;

const AUDIT = {
  apiVersion: "audit.k8s.io/v1",
  kind: "Policy",
  omitStages: ["RequestReceived"],
  rules: [{ level: "Metadata", userGroups: ["system:serviceaccounts"] }, { level: "None" }],
};

export interface KubernetesServerOptions {
  /** Compile what is not in the cache, which takes minutes. Default: only what is there already. */
  readonly build?: boolean;
  /** Address that the API server says it has; the API server accepts no loopback address for it. Default 192.0.2.1, which nobody can reach. */
  readonly advertise?: string;
  /** Where Services get their addresses. Default 10.96.0.0/16. */
  readonly serviceRange?: string;
}

/** Where Kubernetes' programs are; a reason when they cannot be had here. */
export function kubernetesPrograms(
  build = false,
):
  | { readonly paths: Readonly<Record<Program, string>> }
  | { readonly paths: undefined; readonly reason: string; readonly installable: boolean } {
  const paths: Partial<Record<Program, string>> = {};
  for (const name of PROGRAMS) {
    const { path, ...rest } = ensureService(name, { build });
    if (path === undefined) {
      const { reason, installable } = rest as { readonly reason: string; readonly installable: boolean };
      return { paths: undefined, reason: `${name}: ${reason}`, installable };
    }
    paths[name] = path;
  }
  return { paths: paths as Record<Program, string> };
}

/**
 * A real Kubernetes control plane in a directory of its own: etcd, kube-apiserver with RBAC, service account tokens and the default admission
 * plugins, kube-controller-manager with all its controllers. There is no scheduler and no kubelet: pods are made, and do not run.
 */
export class KubernetesServer {
  readonly port: number;
  /** Of somebody who may do everything. */
  readonly kubeconfig: string;
  readonly caPem: string;
  readonly #token: string;
  readonly #folder: string;
  readonly #paths: Readonly<Record<Program, string>>;
  readonly #options: KubernetesServerOptions;
  readonly #ports: readonly number[];
  readonly #running = new Map<Program, ChildProcess>();

  private constructor(parts: {
    readonly folder: string;
    readonly token: string;
    readonly caPem: string;
    readonly paths: Readonly<Record<Program, string>>;
    readonly options: KubernetesServerOptions;
    readonly ports: readonly number[];
  }) {
    this.#folder = parts.folder;
    this.#token = parts.token;
    this.caPem = parts.caPem;
    this.#paths = parts.paths;
    this.#options = parts.options;
    this.#ports = parts.ports;
    this.port = parts.ports[0] as number;
    this.kubeconfig = join(parts.folder, "admin.kubeconfig");
  }

  static async start(options: KubernetesServerOptions = {}): Promise<KubernetesServer> {
    const found = kubernetesPrograms(options.build);
    if (found.paths === undefined) throw new Error(found.reason);
    const folder = await mkdtemp(join(tmpdir(), "lateen-kubernetes-"));
    const ca = createTestCa("kubernetes");
    const { certPem, keyPem } = ca.issue({ dns: ["localhost", "kubernetes.default.svc"] });
    const accounts = generateKeyPairSync("rsa", {
      modulusLength: 2048,
      publicKeyEncoding: { type: "spki", format: "pem" },
      privateKeyEncoding: { type: "pkcs8", format: "pem" },
    });
    const token = randomBytes(16).toString("hex");
    const files = {
      "ca.pem": ca.rootPem,
      "server.pem": certPem,
      "server-key.pem": keyPem,
      "accounts.pem": accounts.publicKey,
      "accounts-key.pem": accounts.privateKey,
      "tokens.csv": `${token},admin,admin,system:masters\n`,
      "audit-policy.json": JSON.stringify(AUDIT),
    };
    for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text, { mode: 0o600 });
    const ports = await freePorts(3);
    const server = new KubernetesServer({ folder, token, caPem: ca.rootPem, paths: found.paths, options, ports });
    await writeFile(server.kubeconfig, server.kubeconfigOf(token), { mode: 0o600 });
    try {
      await server.#up();
    } catch (error) {
      await server.close();
      throw error;
    }
    return server;
  }

  get url(): string {
    return `https://localhost:${this.port}`;
  }

  /** File with a line of JSON (audit.k8s.io/v1) for every request of a service account: who asked for what, and the answer's status. */
  get audit(): string {
    return join(this.#folder, "audit.log");
  }

  /** A kubeconfig of whoever has this token. */
  kubeconfigOf(token: string, namespace = "default"): string {
    const cluster = { server: this.url, "certificate-authority-data": Buffer.from(this.caPem).toString("base64") };
    return JSON.stringify({
      apiVersion: "v1",
      kind: "Config",
      "current-context": "test",
      clusters: [{ name: "test", cluster }],
      users: [{ name: "test", user: { token } }],
      contexts: [{ name: "test", context: { cluster: "test", user: "test", namespace } }],
    });
  }

  /** The last that a program has written. */
  async log(program: Program): Promise<string> {
    return (await readFile(join(this.#folder, `${program}.log`), "utf8").catch(() => "")).slice(-4000);
  }

  async #up(): Promise<void> {
    const file = (name: string) => join(this.#folder, name);
    const [port, client, peer] = this.#ports;
    const etcd = `http://127.0.0.1:${client}`;
    const between = `http://127.0.0.1:${peer}`;
    this.#spawn("etcd", {
      "data-dir": file("etcd"),
      "listen-client-urls": etcd,
      "advertise-client-urls": etcd,
      "listen-peer-urls": between,
      "initial-advertise-peer-urls": between,
      "initial-cluster": `default=${between}`,
      "unsafe-no-fsync": "true",
      "log-level": "warn",
    });
    this.#spawn("kube-apiserver", {
      "etcd-servers": etcd,
      "bind-address": "127.0.0.1",
      "advertise-address": this.#options.advertise ?? "192.0.2.1",
      "secure-port": String(port),
      "tls-cert-file": file("server.pem"),
      "tls-private-key-file": file("server-key.pem"),
      "cert-dir": this.#folder,
      "token-auth-file": file("tokens.csv"),
      "audit-policy-file": file("audit-policy.json"),
      "audit-log-path": this.audit,
      "authorization-mode": "RBAC",
      "service-cluster-ip-range": this.#options.serviceRange ?? "10.96.0.0/16",
      "service-account-issuer": "https://kubernetes.default.svc.cluster.local",
      "service-account-key-file": file("accounts.pem"),
      "service-account-signing-key-file": file("accounts-key.pem"),
    });
    await this.#until("kube-apiserver", "/readyz");
    this.#spawn("kube-controller-manager", {
      kubeconfig: this.kubeconfig,
      "service-account-private-key-file": file("accounts-key.pem"),
      "root-ca-file": file("ca.pem"),
      "use-service-account-credentials": "true",
      "leader-elect": "false",
      // A node that no kubelet speaks for would count as lost.
      controllers: "*,-node-lifecycle-controller",
      "bind-address": "127.0.0.1",
      "secure-port": "0",
    });
    // Its controllers work once they have made what every namespace has.
    await this.#until("kube-controller-manager", "/api/v1/namespaces/default/serviceaccounts/default");
  }

  #spawn(program: Program, flags: Readonly<Record<string, string>>): void {
    const log = openSync(join(this.#folder, `${program}.log`), "a");
    const args = Object.entries(flags).map(([name, value]) => `--${name}=${value}`);
    this.#running.set(program, spawn(this.#paths[program], args, { stdio: ["ignore", log, log] }));
    closeSync(log);
  }

  async #until(program: Program, path: string): Promise<void> {
    const ended = await eventually(
      `${program} is ready`,
      async () => {
        for (const [name, { exitCode }] of this.#running) if (exitCode !== null) return name;
        return (await this.#status(path)) === 200 ? "" : undefined;
      },
      PATIENCE_MS,
      200,
    );
    if (ended !== "") throw new Error(`${ended} has ended: ${await this.log(ended)}`);
  }

  #status(path: string): Promise<number> {
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    const headers = { authorization: `Bearer ${this.#token}` };
    request(`${this.url}${path}`, { ca: this.caPem, headers }, (answer) => resolve(answer.resume().statusCode ?? 0))
      .on("error", reject)
      .end();
    return promise;
  }

  async close(): Promise<void> {
    for (const name of [...PROGRAMS].reverse()) {
      const child = this.#running.get(name);
      if (child === undefined || child.exitCode !== null || child.signalCode !== null) continue;
      const ended = once(child, "exit");
      child.kill("SIGKILL");
      await ended;
    }
    await rm(this.#folder, { recursive: true, force: true });
  }
}
