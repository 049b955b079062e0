import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { configKinds, isPermitted, kubernetesPermissions } from "@lateen/adapter-kubernetes";
import { webhookSelections } from "@lateen/injector";
import { componentsOf, INJECTION_WEBHOOK, manifestOf, settingsOf, VALIDATION_WEBHOOK } from "@lateen/manifests";
import { kinds } from "@lateen/mesh-model";
import { eventually, startApiServer, type TestApiServer } from "@lateen/test-support";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const LATEEN = resolve(import.meta.dirname, "../../../node_modules/.bin/lateen");
const PATIENCE_MS = 120_000;
const ROOT = "istio-system";
/** Kinds that the control plane reads or writes; the rest of an installation is for the kubelet and the like. */
const APPLIED = ["Namespace", "ConfigMap", "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"];

const settings = settingsOf("minimal");
const parts = {
  permissions: kubernetesPermissions,
  injection: webhookSelections({ revision: "default" }),
};

type Json = Readonly<Record<string, unknown>>;

/** The Deployment of profile minimal, as the kubelet would run it: its arguments, ports and directories moved; ConfigMaps as files. */
class Installed {
  readonly server: TestApiServer;
  readonly refused: string[] = [];
  readonly #dir = mkdtempSync(join(tmpdir(), "lateen-installed-"));
  #process: ChildProcess | undefined;
  #log = "";

  constructor(server: TestApiServer) {
    this.server = server;
    server.tokens.add("api-control-plane");
    server.authorize = (asked) => {
      const selected = /^metadata\.name=(.*)$/.exec(asked.query.get("fieldSelector") ?? "")?.[1];
      const permitted = isPermitted("control-plane", { ...asked, name: asked.name ?? selected });
      if (!permitted) this.refused.push(`${asked.verb} ${asked.path}`);
      return permitted;
    };
  }

  async start(): Promise<Readonly<Record<string, number>>> {
    const objects = manifestOf(settings, parts);
    this.server.apply(...(objects.filter(({ kind }) => APPLIED.includes(kind)) as unknown as Json[]));
    const [component] = componentsOf(settings, parts);
    const file = (path: string) => join(this.#dir, path);
    for (const { volume, path } of component?.volumes ?? []) {
      mkdirSync(file(path), { recursive: true });
      const map = (volume.configMap as { name: string } | undefined)?.name;
      const data = objects.find(({ kind, metadata }) => kind === "ConfigMap" && metadata.name === map)?.data;
      for (const [name, text] of Object.entries((data ?? {}) as Record<string, string>))
        writeFileSync(join(file(path), name), text);
    }
    writeFileSync(file("kubeconfig"), this.server.kubeconfig({ token: "api-control-plane" }));
    // Paths of mounts are below the directory here; everything else is as it is installed.
    const args = (component?.args ?? []).map((arg) => arg.replace(/=(\/(?:var|etc)\/)/, `=${this.#dir}$1`));
    const moved = ["xds", "ca", "config", "telemetry", "metrics", "http", "prometheus", "webhook"].map(
      (port) => `--${port}-port=0`,
    );
    const all = [...args, ...moved, "--host=127.0.0.1", `--kubeconfig=${file("kubeconfig")}`];
    this.#process = spawn(LATEEN, ["serve", "control-plane", ...all], { stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [this.#process.stdout, this.#process.stderr])
      stream?.on("data", (text: Buffer) => {
        this.#log += text.toString();
      });
    const ports = file("/var/lib/lateen/control-plane.json");
    return eventually(
      "the control plane says its ports",
      async () => {
        if (this.#process?.exitCode !== null) throw new Error(this.#log.slice(-3000));
        return existsSync(ports) ? (JSON.parse(readFileSync(ports, "utf8")) as Record<string, number>) : undefined;
      },
      PATIENCE_MS,
    );
  }

  async stop(): Promise<number | null> {
    const child = this.#process;
    if (child !== undefined && child.exitCode === null) {
      const exited = once(child, "exit");
      child.kill("SIGTERM");
      await exited;
    }
    await this.server.stop();
    rmSync(this.#dir, { recursive: true, force: true });
    return child?.exitCode ?? null;
  }
}

describe("profile minimal on a Kubernetes API server", { timeout: 240_000 }, () => {
  let installed: Installed;
  let ports: Readonly<Record<string, number>>;

  beforeAll(async () => {
    installed = new Installed(await startApiServer({ resources: configKinds().map(resourceOfKind) }));
    ports = await installed.start();
  }, 200_000);
  afterAll(() => installed?.stop());

  it("answers its probes", async () => {
    const [component] = componentsOf(settings, parts);
    const moved: Readonly<Record<number, number | undefined>> = { 15014: ports.metrics, 15080: ports.http };
    for (const { port, path } of Object.values(component?.probes ?? {})) {
      const status = await eventually(
        `GET ${path} of ${port}`,
        async () => {
          const answer = await fetch(`http://127.0.0.1:${moved[port]}${path}`);
          return answer.ok ? answer.status : undefined;
        },
        PATIENCE_MS,
      );
      expect(status).toBe(200);
    }
  });

  it("gives every namespace the root certificate, and both webhooks what they are trusted by", async () => {
    const root = await eventually(
      "the root certificate",
      async () =>
        (
          installed.server.get("v1", "ConfigMap", "istio-ca-root-cert", ROOT)?.data as
            | Record<string, string>
            | undefined
        )?.["root-cert.pem"],
      PATIENCE_MS,
    );
    for (const [kind, name] of [
      ["MutatingWebhookConfiguration", INJECTION_WEBHOOK],
      ["ValidatingWebhookConfiguration", VALIDATION_WEBHOOK],
    ] as const) {
      const bundles = await eventually(
        `the bundle of ${name}`,
        async () => {
          const found = installed.server.get("admissionregistration.k8s.io/v1", kind, name) as
            | { readonly webhooks: readonly { readonly clientConfig: { readonly caBundle?: string } }[] }
            | undefined;
          const written = found?.webhooks.map(({ clientConfig }) => clientConfig.caBundle);
          return written?.every((each) => each !== undefined) ? (written as string[]) : undefined;
        },
        PATIENCE_MS,
      );
      expect(new Set(bundles.map((each) => Buffer.from(each, "base64").toString()))).toEqual(new Set([root]));
    }
  });

  it("injects sidecars that know where citadel and pilot are", async () => {
    const pod = {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: "web" },
      spec: { containers: [{ name: "app", image: "web" }] },
    };
    const answer = await review(ports.webhook ?? 0, "/inject", pod);
    const { allowed, patch = "" } = (answer as { response: { allowed: boolean; patch?: string } }).response;
    expect(allowed).toBe(true);
    const text = Buffer.from(patch, "base64").toString();
    expect(text).toContain(`${settings.hub}/sidecar:${settings.tag}`);
    expect(text).toContain("istiod.istio-system.svc:15012");
    expect(text).toContain("LATEEN_TELEMETRY_ADDRESS");
  });

  it("refuses a rule with an unknown field", async () => {
    const rule = {
      apiVersion: "networking.istio.io/v1",
      kind: "VirtualService",
      metadata: { name: "x", namespace: "shop" },
      spec: { hosts: ["a"], htpp: [] },
    };
    const answer = await review(ports.webhook ?? 0, "/validate", rule);
    expect(answer).toMatchObject({
      response: { allowed: false, status: { message: expect.stringContaining('unknown field "htpp"') } },
    });
  });

  it("asks the API server for nothing that its role does not name, and ends with 0", async () => {
    expect(installed.refused).toEqual([]);
    expect(await installed.stop()).toBe(0);
  });
});

function resourceOfKind(kind: keyof typeof kinds) {
  const { group, versions, plural, scope, writtenAs = kind } = { writtenAs: undefined, ...kinds[kind] };
  return { group, versions, plural, kind: writtenAs, namespaced: scope === "Namespaced", status: true };
}

/** Asks a webhook as an API server does. */
function review(port: number, path: string, object: Json): Promise<unknown> {
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
