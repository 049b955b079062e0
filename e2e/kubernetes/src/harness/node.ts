import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { eventually } from "@lateen/test-support";
import type { ApiObject, Cluster } from "./cluster.ts";

const LATEEN = resolve(import.meta.dirname, "../../../../node_modules/.bin/lateen");
const PATIENCE_MS = 400_000;
const NAME = "node-1";

interface Running {
  child: ChildProcess | undefined;
  readonly log: string;
  stopping: boolean;
}

interface Container {
  readonly image: string;
  readonly args?: readonly string[];
  readonly volumeMounts?: readonly { readonly name: string; readonly mountPath: string }[];
  readonly readinessProbe?: { readonly httpGet?: { readonly path: string; readonly port: number } };
}

interface Volume {
  readonly name: string;
  readonly configMap?: { readonly name: string };
  readonly secret?: { readonly secretName: string; readonly items?: readonly { key: string; path: string }[] };
  readonly projected?: {
    readonly sources: readonly {
      readonly serviceAccountToken?: { readonly path: string; readonly audience: string };
    }[];
  };
}

interface Pod extends ApiObject {
  readonly spec: {
    readonly serviceAccountName: string;
    readonly containers: readonly [Container, ...Container[]];
    readonly volumes?: readonly Volume[];
  };
  readonly status?: { readonly phase?: string };
}

/**
 * The part of a node that the control plane needs: pods of Lateen's own images as processes of this machine, with an address each, their
 * volumes, and tokens of their service accounts by TokenRequest; their state is written to the API server, whose controllers do the rest.
 */
export class Node {
  readonly #cluster: Cluster;
  readonly #folder: string;
  readonly #running = new Map<string, Running>();
  #addresses = 0;

  private constructor(cluster: Cluster, folder: string) {
    this.#cluster = cluster;
    this.#folder = folder;
  }

  static async start(cluster: Cluster): Promise<Node> {
    const nodes = { group: "", version: "v1", plural: "nodes" };
    await cluster.api.create(nodes, { apiVersion: "v1", kind: "Node", metadata: { name: NAME } } as never);
    return new Node(cluster, await mkdtemp(join(tmpdir(), "lateen-node-")));
  }

  /** Runs a pod that the API server has, until it is ready there too. @returns its name. */
  async run(app: string, not: readonly string[] = []): Promise<string> {
    const pod = await this.#pending(app, not);
    const { name } = pod.metadata;
    await this.#bind(name);
    const address = `10.244.1.${++this.#addresses}`;
    const folder = join(this.#folder, name);
    await mkdir(folder, { recursive: true });
    const mounts = await this.#volumes(pod, folder);
    const [container] = pod.spec.containers;
    const placed = (container.args ?? []).map((arg) => {
      const mount = container.volumeMounts?.find(({ mountPath }) => arg.includes(`=${mountPath}`));
      if (mount === undefined) return arg === "--host=0.0.0.0" ? `--host=${address}` : arg;
      return arg.replace(`=${mount.mountPath}`, `=${mounts.get(mount.name)}`);
    });
    const kubeconfig = await this.#kubeconfig(pod, folder);
    const program = /\/([^/:]+):[^/]*$/.exec(container.image)?.[1] ?? container.image;
    const log = join(this.#folder, `${name}.log`);
    const running: Running = { child: undefined, log, stopping: false };
    this.#running.set(name, running);
    this.#keep(running, ["serve", program, ...placed, `--kubeconfig=${kubeconfig}`]);
    const probe = container.readinessProbe?.httpGet;
    await eventually(
      `${name} is ready`,
      async () => ((await fetch(`http://${address}:${probe?.port}${probe?.path}`)).ok ? true : undefined),
      PATIENCE_MS,
      200,
    ).catch((error: Error) => {
      throw new Error(`${error.message}\n${this.log(name)}`);
    });
    await this.#write(pod, address);
    return name;
  }

  /** What ends by itself is started again. */
  #keep(running: Running, args: readonly string[]): void {
    const output = openSync(running.log, "a");
    const child = spawn(LATEEN, args, { stdio: ["ignore", output, output], env: { ...process.env, KUBECONFIG: "" } });
    closeSync(output);
    running.child = child;
    child.once("exit", () => {
      if (!running.stopping) this.#keep(running, args);
    });
  }

  /** The last that a pod has written. */
  log(name: string): string {
    const running = this.#running.get(name);
    return running === undefined ? "" : readFileSync(running.log, "utf8").slice(-3000);
  }

  /** Ends a pod as a node's failure does. Its Deployment makes another. */
  async kill(name: string): Promise<void> {
    await this.#end(name, "SIGKILL");
    await this.#remove(name);
  }

  /** Says of all pods that are to go that they have gone, as a kubelet does. */
  async clear(): Promise<void> {
    for (const name of this.#running.keys()) await this.kill(name);
  }

  async close(): Promise<void> {
    for (const name of this.#running.keys()) await this.#end(name, "SIGKILL");
    await rm(this.#folder, { recursive: true, force: true });
  }

  /** As the scheduler does. */
  async #bind(name: string): Promise<void> {
    const path = `/api/v1/namespaces/istio-system/pods/${name}/binding`;
    const target = { apiVersion: "v1", kind: "Node", name: NAME };
    const body = { apiVersion: "v1", kind: "Binding", metadata: { name }, target };
    await this.#cluster.api.request({ method: "POST", path, body });
  }

  async #end(name: string, signal: NodeJS.Signals): Promise<void> {
    const running = this.#running.get(name);
    const child = running?.child;
    if (running !== undefined) running.stopping = true;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit");
    child.kill(signal);
    await exited;
  }

  async #remove(name: string): Promise<void> {
    const { code, err } = await this.#cluster.kubectl([
      ...["delete", "pod", name, "--namespace=istio-system", "--grace-period=0", "--force", "--ignore-not-found"],
    ]);
    if (code !== 0) throw new Error(err);
  }

  /** A pod that its Deployment made and nobody runs yet. */
  #pending(app: string, not: readonly string[]): Promise<Pod> {
    return eventually(
      `a pod of ${app}`,
      async () => {
        const pods = await this.#cluster.list(`/api/v1/namespaces/istio-system/pods`);
        const free = (pods as readonly Pod[]).find(
          ({ metadata, status }) =>
            metadata.labels?.app === app &&
            status?.phase === "Pending" &&
            !this.#running.has(metadata.name) &&
            !not.includes(metadata.name),
        );
        return free === undefined ? undefined : { ...free, apiVersion: "v1", kind: "Pod" };
      },
      PATIENCE_MS,
      200,
    );
  }

  async #token(pod: Pod, audience?: string): Promise<string> {
    const path = `/api/v1/namespaces/istio-system/serviceaccounts/${pod.spec.serviceAccountName}/token`;
    const boundObjectRef = { kind: "Pod", apiVersion: "v1", name: pod.metadata.name, uid: pod.metadata.uid };
    const spec = { audiences: audience === undefined ? [] : [audience], expirationSeconds: 3600, boundObjectRef };
    const body = { apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest", spec };
    const answer = await this.#cluster.api.request({ method: "POST", path, body });
    return (answer as { readonly status: { readonly token: string } }).status.token;
  }

  async #kubeconfig(pod: Pod, folder: string): Promise<string> {
    const admin = JSON.parse(readFileSync(process.env.LATEEN_TEST_KUBECONFIG ?? "", "utf8"));
    await writeFile(join(folder, "api-token"), await this.#token(pod));
    const contexts = [{ name: "pod", context: { cluster: "test", user: "pod", namespace: "istio-system" } }];
    const users = [{ name: "pod", user: { tokenFile: "api-token" } }];
    const file = join(folder, "kubeconfig");
    await writeFile(file, JSON.stringify({ ...admin, users, contexts, "current-context": "pod" }));
    return file;
  }

  async #volumes(pod: Pod, folder: string): Promise<ReadonlyMap<string, string>> {
    const places = new Map<string, string>();
    const data = (kind: string, name: string) =>
      eventually(
        `${kind} ${name}`,
        async () => {
          const found = await this.#cluster.get(`/api/v1/namespaces/istio-system/${kind}/${name}`);
          return (found.data ?? {}) as Readonly<Record<string, string>>;
        },
        PATIENCE_MS,
        200,
      );
    for (const { name, configMap, secret, projected } of pod.spec.volumes ?? []) {
      const place = join(folder, name);
      await mkdir(place, { recursive: true });
      places.set(name, place);
      if (configMap !== undefined)
        for (const [key, text] of Object.entries(await data("configmaps", configMap.name)))
          await writeFile(join(place, key), text);
      if (secret !== undefined)
        for (const [key, text] of Object.entries(await data("secrets", secret.secretName)))
          await writeFile(join(place, key), Buffer.from(text, "base64"), { mode: 0o600 });
      for (const { serviceAccountToken: token } of projected?.sources ?? [])
        if (token?.path !== undefined && token.audience !== undefined)
          await writeFile(join(place, token.path), await this.#token(pod, token.audience), { mode: 0o600 });
    }
    return places;
  }

  async #write({ metadata: { name } }: Pod, address: string): Promise<void> {
    const conditions = ["Initialized", "ContainersReady", "Ready"].map((type) => ({ type, status: "True" }));
    await this.#cluster.api.patch(
      { group: "", version: "v1", plural: "pods", namespace: "istio-system" },
      name,
      { status: { phase: "Running", podIP: address, podIPs: [{ ip: address }], conditions } },
      "status",
    );
  }
}

/** Names of everything in the control plane's namespace, in the file that stands for `/etc/hosts`. */
export async function writeNames(cluster: Cluster): Promise<void> {
  const services = await cluster.list("/api/v1/namespaces/istio-system/services");
  const slices = await cluster.list("/apis/discovery.k8s.io/v1/namespaces/istio-system/endpointslices");
  const lines = services.flatMap(({ metadata, spec }) => {
    const { clusterIP = "" } = spec as { readonly clusterIP?: string };
    const addresses =
      clusterIP !== "None"
        ? [clusterIP]
        : slices
            .filter(({ metadata: { labels } }) => labels?.["kubernetes.io/service-name"] === metadata.name)
            .flatMap(
              ({ endpoints }) => (endpoints as readonly { readonly addresses: readonly string[] }[] | null) ?? [],
            )
            .flatMap(({ addresses: all }) => all);
    return addresses.map((address) => `${address} ${metadata.name}.istio-system.svc`);
  });
  writeFileSync(process.env.LATEEN_TEST_HOSTS ?? "", `127.0.0.1 localhost\n${lines.join("\n")}\n`);
}
