import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { configKinds, isPermitted, permissionsOf } from "@lateen/adapter-kubernetes";
import { webhookSelections } from "@lateen/injector";
import { componentsOf, type InstallSettings, type KubernetesObject, manifestOf, settingsOf } from "@lateen/manifests";
import { kinds } from "@lateen/mesh-model";
import { eventually, type TestApiServer } from "@lateen/test-support";

const LATEEN = resolve(import.meta.dirname, "../../../../node_modules/.bin/lateen");
export const PATIENCE_MS = 120_000;
/** Kinds that the control plane reads or writes; the rest of an installation is for the kubelet and the like. */
const APPLIED = ["Namespace", "ConfigMap", "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"];

export type Json = Readonly<Record<string, unknown>>;

/** The kinds of configuration, as an API server knows them. */
export function configResources() {
  return configKinds().map((kind) => {
    const { group, versions, plural, scope, writtenAs = kind } = { writtenAs: undefined, ...kinds[kind] };
    return { group, versions, plural, kind: writtenAs, namespaced: scope === "Namespaced", status: true };
  });
}

/** The Deployment of profile minimal, as the kubelet would run it: its arguments, ports and directories moved; ConfigMaps as files. */
export class Installed {
  readonly server: TestApiServer;
  readonly settings: InstallSettings;
  readonly refused: string[] = [];
  readonly #dir = mkdtempSync(join(tmpdir(), "lateen-installed-"));
  #process: ChildProcess | undefined;
  #log = "";

  constructor(server: TestApiServer, revision = "default") {
    this.server = server;
    this.settings = { ...settingsOf("minimal"), revision };
    const before = server.authorize;
    const token = this.#token;
    server.tokens.add(token);
    const table = permissionsOf(revision);
    server.authorize = (asked) => {
      if (asked.token !== token) return before?.(asked) ?? false;
      const selected = /^metadata\.name=(.*)$/.exec(asked.query.get("fieldSelector") ?? "")?.[1];
      const permitted = isPermitted("control-plane", { ...asked, name: asked.name ?? selected }, { table });
      if (!permitted) this.refused.push(`${asked.verb} ${asked.path}`);
      return permitted;
    };
  }

  get #token(): string {
    return `api-control-plane-${this.settings.revision}`;
  }

  get #parts() {
    const { revision } = this.settings;
    return { permissions: permissionsOf(revision), injection: webhookSelections({ revision }) };
  }

  get objects(): readonly KubernetesObject[] {
    return manifestOf(this.settings, this.#parts);
  }

  /** What an API server has of it here. */
  get applied(): readonly KubernetesObject[] {
    return this.objects.filter(({ kind }) => APPLIED.includes(kind));
  }

  get component() {
    return componentsOf(this.settings, this.#parts)[0];
  }

  /** Below the pod's root. */
  file(path: string): string {
    return join(this.#dir, path);
  }

  async start(): Promise<Readonly<Record<string, number>>> {
    const { objects, component } = this;
    this.server.apply(...(this.applied as unknown as Json[]));
    for (const { volume, path } of component?.volumes ?? []) {
      mkdirSync(this.file(path), { recursive: true });
      const map = (volume.configMap as { name: string } | undefined)?.name;
      const data = objects.find(({ kind, metadata }) => kind === "ConfigMap" && metadata.name === map)?.data;
      for (const [name, text] of Object.entries((data ?? {}) as Record<string, string>))
        writeFileSync(join(this.file(path), name), text);
    }
    writeFileSync(this.file("kubeconfig"), this.server.kubeconfig({ token: this.#token }));
    // Paths of mounts are below the directory here; everything else is as it is installed.
    const args = (component?.args ?? []).map((arg) => arg.replace(/=(\/(?:var|etc)\/)/, `=${this.#dir}$1`));
    const moved = ["xds", "ca", "config", "telemetry", "metrics", "http", "prometheus", "webhook"].map(
      (port) => `--${port}-port=0`,
    );
    const all = [...args, ...moved, "--host=127.0.0.1", `--kubeconfig=${this.file("kubeconfig")}`];
    this.#process = spawn(LATEEN, ["serve", "control-plane", ...all], { stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [this.#process.stdout, this.#process.stderr])
      stream?.on("data", (text: Buffer) => {
        this.#log += text.toString();
      });
    const ports = this.file("/var/lib/lateen/control-plane.json");
    return eventually(
      "the control plane says its ports",
      async () => {
        if (this.#process?.exitCode !== null) throw new Error(this.#log.slice(-3000));
        return existsSync(ports) ? (JSON.parse(readFileSync(ports, "utf8")) as Record<string, number>) : undefined;
      },
      PATIENCE_MS,
    );
  }

  /** Ends the process; the API server goes on. */
  async end(): Promise<number | null> {
    const child = this.#process;
    if (child !== undefined && child.exitCode === null) {
      const exited = once(child, "exit");
      child.kill("SIGTERM");
      await exited;
    }
    rmSync(this.#dir, { recursive: true, force: true });
    return child?.exitCode ?? null;
  }

  async stop(): Promise<number | null> {
    const code = await this.end();
    await this.server.stop();
    return code;
  }
}

/** Asks a webhook as an API server does. */
export function review(port: number, path: string, object: Json): Promise<unknown> {
  const { apiVersion, kind, metadata } = object as { apiVersion: string; kind: string; metadata: { name: string } };
  const [version = "", group = ""] = apiVersion.split("/").reverse();
  const body = JSON.stringify({
    apiVersion: "admission.k8s.io/v1",
    kind: "AdmissionReview",
    request: {
      uid: "1",
      kind: { group, version, kind },
      namespace: "shop",
      name: metadata.name,
      operation: "CREATE",
      object,
    },
  });
  return new Promise((done, fail) => {
    const headers = { "content-type": "application/json" };
    const asking = request(
      { host: "127.0.0.1", port, path, method: "POST", headers, rejectUnauthorized: false },
      (answer) => {
        let text = "";
        answer.setEncoding("utf8").on("data", (chunk: string) => {
          text += chunk;
        });
        answer.on("end", () => (answer.statusCode === 200 ? done(JSON.parse(text)) : fail(new Error(text))));
      },
    );
    asking.on("error", fail).end(body);
  });
}
