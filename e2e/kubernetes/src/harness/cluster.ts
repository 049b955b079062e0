import { spawn } from "node:child_process";
import { resolve } from "node:path";
import { type KubernetesApi, openKubernetes } from "@lateen/adapter-kubernetes";
import { ensureService } from "@lateen/services";

const LATEEN = resolve(import.meta.dirname, "../../../../node_modules/.bin/lateen");

export interface Said {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** An object of the API. */
export interface ApiObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly uid?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly resourceVersion?: string;
  };
  readonly [field: string]: unknown;
}

/** The API server that `npm run test:k8s` started, as its administrator has it. */
export class Cluster {
  readonly api: KubernetesApi;
  readonly #kubeconfig: string;
  readonly #kubectl: string;

  private constructor(api: KubernetesApi, kubeconfig: string, kubectl: string) {
    this.api = api;
    this.#kubeconfig = kubeconfig;
    this.#kubectl = kubectl;
  }

  static async open(): Promise<Cluster> {
    const kubeconfig = process.env.LATEEN_TEST_KUBECONFIG;
    if (kubeconfig === undefined) throw new Error("these tests run by `npm run test:k8s`");
    const kubectl = ensureService("kubectl", { install: false });
    if (kubectl.path === undefined) throw new Error(kubectl.reason);
    return new Cluster(await openKubernetes({ kubeconfig }), kubeconfig, kubectl.path);
  }

  get(path: string): Promise<ApiObject> {
    return this.api.request({ method: "GET", path }) as Promise<ApiObject>;
  }

  async list(path: string): Promise<readonly ApiObject[]> {
    return ((await this.get(path)) as unknown as { readonly items: readonly ApiObject[] }).items;
  }

  kubectl(args: readonly string[], input: unknown = ""): Promise<Said> {
    return run(this.#kubectl, [`--kubeconfig=${this.#kubeconfig}`, ...args], {}, input);
  }

  /** `kubectl apply` of objects, as users do it. */
  apply(...items: readonly object[]): Promise<Said> {
    return this.kubectl(["apply", "-f", "-"], { apiVersion: "v1", kind: "List", items });
  }

  lateen(...args: readonly string[]): Promise<Said> {
    return run(LATEEN, [...args, `--kubeconfig=${this.#kubeconfig}`], { LATEEN_KUBECTL: this.#kubectl });
  }
}

function run(
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  input: unknown = "",
): Promise<Said> {
  const { promise, resolve: done, reject } = Promise.withResolvers<Said>();
  const child = spawn(program, args, { env: { ...process.env, ...env } });
  let out = "";
  let err = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    out += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    err += text;
  });
  child.on("error", reject);
  child.on("close", (code) => done({ code: code ?? 1, out, err }));
  child.stdin.on("error", () => {});
  child.stdin.end(typeof input === "string" ? input : JSON.stringify(input));
  return promise;
}
