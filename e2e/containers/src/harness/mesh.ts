import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { kubernetesPermissions } from "@lateen/adapter-kubernetes";
import { webhookSelections } from "@lateen/injector";
import { INJECTION_WEBHOOK, manifestOf, NAMESPACE, settingsOf, VALIDATION_WEBHOOK } from "@lateen/manifests";
import { eventually } from "@lateen/test-support";
import { type ApiObject, Cluster } from "./cluster.ts";
import { DockerEngine } from "./docker-engine.ts";
import type { Engine } from "./engine.ts";
import { buildImages } from "./images.ts";
import type { RunningPod } from "./kubelet.ts";
import { LocalEngine } from "./local-engine.ts";
import type { PodMetadata, PodSpec } from "./pod.ts";

const PATIENCE_MS = 180_000;
/** Of an installation, what an API server without controllers has a use for. */
const APPLIED = ["Namespace", "ConfigMap", "Service", "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"];

/** What the profile has besides citadel; nothing here goes out through the egress gateway. */
const COMPONENTS = [
  "istio-nats",
  "istio-redis",
  "istio-galley",
  "istio-pilot",
  "istio-mixer",
  "istio-sidecar-injector",
  "istio-ingressgateway",
];

export interface Template {
  readonly metadata: Omit<PodMetadata, "name">;
  readonly spec: PodSpec;
}

/** Profile demo on a cluster of containers. */
export class Mesh {
  readonly engine: Engine;
  readonly cluster: Cluster;
  /** Pods of the control plane and gateways by the names of their Deployments. */
  readonly pods: Map<string, RunningPod>;
  readonly #folder: string;
  readonly #templates: ReadonlyMap<string, Template>;
  #replacements = 1;

  private constructor(engine: Engine, cluster: Cluster, folder: string, templates: ReadonlyMap<string, Template>) {
    this.engine = engine;
    this.cluster = cluster;
    this.pods = new Map();
    this.#folder = folder;
    this.#templates = templates;
  }

  static async start(): Promise<Mesh> {
    const folder = await mkdtemp(join(tmpdir(), "lateen-containers-"));
    const settings = settingsOf("demo");
    const images = buildImages(join(folder, "images"), settings);
    const engine =
      process.env.E2E_BACKEND === "local"
        ? await LocalEngine.create(join(folder, "local"))
        : await DockerEngine.create();
    await engine.load(images);
    const cluster = await Cluster.start(engine, folder);
    const objects = manifestOf(settings, {
      permissions: kubernetesPermissions,
      injection: webhookSelections({ revision: "default" }),
    }) as unknown as readonly ApiObject[];
    cluster.apply(...objects.filter(({ kind }) => APPLIED.includes(kind)));
    const templates = new Map(objects.flatMap(templateOf));
    const mesh = new Mesh(engine, cluster, folder, templates);
    // The others wait for what citadel makes, as pods do for Secrets and ConfigMaps of a cluster.
    await mesh.#run("istio-citadel");
    await Promise.all(COMPONENTS.map((name) => mesh.#run(name)));
    return mesh;
  }

  /** A pod of the control plane. */
  pod(name: string): RunningPod {
    const found = this.pods.get(name);
    if (found === undefined) throw new Error(`no pod of ${name}`);
    return found;
  }

  /** Ends a pod at once, as a node's failure does. */
  async kill(name: string): Promise<void> {
    const pod = this.pod(name);
    this.cluster.forget(pod);
    await pod.kill();
  }

  /** What its Deployment does after that. */
  async replace(name: string): Promise<void> {
    await this.#run(name, ++this.#replacements);
  }

  async #run(name: string, number = 1): Promise<void> {
    const template = this.#templates.get(name);
    if (template === undefined) throw new Error(`no Deployment ${name}`);
    this.pods.set(name, await this.cluster.run(template, `${name}-${number}`));
  }

  /** Runs a pod as the webhook wants it: what its API server makes of it. Tries again, as a Deployment does, until that has somebody to ask. */
  async runInjected(template: Template, name: string): Promise<RunningPod> {
    const pod = await eventually(`pod ${name}`, () => this.create(template, name), PATIENCE_MS);
    return this.cluster.run(pod, name);
  }

  /** Creates a pod, which nothing runs. @throws ApiFailure when its API server refuses it. */
  async create({ metadata, spec }: Template, name: string): Promise<Template> {
    const pod = { apiVersion: "v1", kind: "Pod", metadata: { ...metadata, name }, spec };
    return (await this.cluster.server.create(pod)) as unknown as Template;
  }

  /** Changes what becomes of requests while nobody answers for a webhook's configuration. */
  setFailurePolicy(kind: "Mutating" | "Validating", failurePolicy: "Fail" | "Ignore"): void {
    const { webhooks, ...found } = this.#webhooks(kind);
    this.cluster.apply({ ...found, webhooks: webhooks.map((webhook) => ({ ...webhook, failurePolicy })) });
  }

  /** Resolves when its API server can verify who answers for the webhooks of a configuration. */
  async trusted(kind: "Mutating" | "Validating"): Promise<void> {
    const trusted = () =>
      this.#webhooks(kind).webhooks.every(({ clientConfig }) => clientConfig.caBundle !== undefined);
    await eventually("the authority of the webhooks", async () => trusted() || undefined, PATIENCE_MS);
  }

  #webhooks(kind: "Mutating" | "Validating"): Webhooks {
    const name = kind === "Mutating" ? INJECTION_WEBHOOK : VALIDATION_WEBHOOK;
    const found = this.cluster.server.get("admissionregistration.k8s.io/v1", `${kind}WebhookConfiguration`, name);
    if (found === undefined) throw new Error(`no webhooks ${name}`);
    return found as unknown as Webhooks;
  }

  async close(): Promise<void> {
    // Addresses of services need those of the engine.
    await this.cluster.close();
    await this.engine.close();
    await rm(this.#folder, { recursive: true, force: true });
  }
}

/** The pods of a Deployment. */
function templateOf({ kind, metadata, spec }: ApiObject): readonly (readonly [string, Template])[] {
  if (kind !== "Deployment") return [];
  const { template } = spec as { readonly template: Template };
  const placed = { ...template.metadata, namespace: metadata.namespace ?? NAMESPACE };
  return [[metadata.name, { metadata: placed, spec: template.spec }]];
}

type Webhooks = ApiObject & {
  readonly webhooks: readonly {
    readonly failurePolicy: string;
    readonly clientConfig: { readonly caBundle?: string };
  }[];
};
