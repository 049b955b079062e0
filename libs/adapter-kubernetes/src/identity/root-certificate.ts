import { type Clock, type Logger, messageOf, type Scope, silentLogger, systemClock } from "@lateen/kernel";
import type { KubernetesApi } from "../client/api.ts";
import { isFields } from "../client/objects.ts";
import { isRefused, refusalOf } from "../errors.ts";
import { type FollowOptions, follow } from "../watch/follow.ts";
import { backoff, DEFAULT_TUNING, pause } from "../watch/pauses.ts";
import type { Watched } from "../watch/reflector.ts";

/** Istio's name, which its injected pods mount. */
export const ROOT_CERTIFICATE_MAP = "istio-ca-root-cert";
const KEY = "root-cert.pem";
/** Kubernetes' own; no workload of the mesh is there. */
const IGNORED: ReadonlySet<string> = new Set(["kube-system", "kube-public", "kube-node-lease", "local-path-storage"]);

export interface RootCertificateOptions extends FollowOptions {
  readonly scope: Scope;
  /** The trust bundle. */
  readonly rootPem: string;
}

/** What one namespace has of it: `""` when it has none. */
type Seen = { readonly kind: "namespace" } | { readonly kind: "map"; readonly rootPem: string };

/**
 * Keeps the ConfigMap `istio-ca-root-cert` of every namespace at the trust bundle until the scope closes: made where it is missing, mended
 * where it was changed. Writes nothing where nothing differs, so several processes may do it.
 * @returns when every namespace was seen once.
 */
export async function publishRootCertificate(api: KubernetesApi, options: RootCertificateOptions): Promise<void> {
  const publisher = new RootCertificatePublisher(api, options);
  await follow(api, [NAMESPACES, MAPS], options, ({ changes }) => {
    for (const [key, value] of changes) publisher.take(key, value);
  });
}

const NAMESPACES: Watched<Seen> = {
  addresses: [{ group: "", version: "v1", plural: "namespaces" }],
  metadataOnly: true,
  keyOf: ({ metadata }) => `namespace ${metadata.name}`,
  convert: ({ metadata }) =>
    IGNORED.has(metadata.name) || metadata.deletionTimestamp !== undefined
      ? { outcome: "ignored" }
      : { outcome: "kept", value: { kind: "namespace" }, print: "" },
};

const MAPS: Watched<Seen> = {
  addresses: [{ group: "", version: "v1", plural: "configmaps" }],
  fieldSelector: `metadata.name=${ROOT_CERTIFICATE_MAP}`,
  keyOf: ({ metadata }) => `map ${metadata.namespace}`,
  convert: ({ data }) => {
    const found = isFields(data) ? data[KEY] : undefined;
    const rootPem = typeof found === "string" ? found : "";
    return { outcome: "kept", value: { kind: "map", rootPem }, print: rootPem };
  },
};

class RootCertificatePublisher {
  readonly #api: KubernetesApi;
  readonly #options: RootCertificateOptions;
  readonly #logger: Logger;
  readonly #clock: Clock;
  readonly #namespaces = new Set<string>();
  readonly #maps = new Map<string, string>();
  /** Namespaces to look at. */
  readonly #due = new Set<string>();
  #working = false;

  constructor(api: KubernetesApi, options: RootCertificateOptions) {
    this.#api = api;
    this.#options = options;
    this.#logger = (options.logger ?? silentLogger).child({ component: "root-certificate" });
    this.#clock = options.clock ?? systemClock();
  }

  take(key: string, value: Seen | undefined): void {
    const [kind, namespace = ""] = key.split(" ");
    if (kind === "namespace") {
      if (value === undefined) this.#namespaces.delete(namespace);
      else this.#namespaces.add(namespace);
    } else if (value?.kind === "map") this.#maps.set(namespace, value.rootPem);
    else this.#maps.delete(namespace);
    if (!this.#namespaces.has(namespace) || this.#maps.get(namespace) === this.#options.rootPem) return;
    this.#due.add(namespace);
    if (!this.#working) void this.#work();
  }

  /** One namespace after the other; those that fail come again after a pause. */
  async #work(): Promise<void> {
    const { scope, random = { next: Math.random } } = this.#options;
    const tuning = { ...DEFAULT_TUNING, ...this.#options.tuning };
    this.#working = true;
    // What arrived with this namespace arrives first: it may have the map already.
    await Promise.resolve();
    for (let failures = 0; this.#due.size > 0 && !scope.closed; ) {
      const failed: string[] = [];
      for (const namespace of this.#due) {
        this.#due.delete(namespace);
        if (!(await this.#write(namespace))) failed.push(namespace);
        if (scope.closed) break;
      }
      if (failed.length === 0) continue;
      for (const namespace of failed) this.#due.add(namespace);
      await pause(this.#clock, backoff(tuning, ++failures, random), scope.signal);
    }
    this.#working = false;
  }

  /** @returns whether nothing is left to do. */
  async #write(namespace: string): Promise<boolean> {
    const { rootPem } = this.#options;
    const found = this.#maps.get(namespace);
    if (!this.#namespaces.has(namespace) || found === rootPem) return true;
    const maps = { group: "", version: "v1", plural: "configmaps", namespace };
    const data = { [KEY]: rootPem };
    try {
      if (found === undefined) {
        const metadata = { name: ROOT_CERTIFICATE_MAP, namespace, labels: { "istio.io/config": "true" } };
        await this.#api.create(maps, { apiVersion: "v1", kind: "ConfigMap", metadata, data });
      } else await this.#api.patch(maps, ROOT_CERTIFICATE_MAP, { data });
      this.#logger.info({ event: "root_certificate.written", namespace });
      return true;
    } catch (error) {
      // It was made or removed meanwhile, or the namespace goes: the watch tells.
      if (isRefused(error, 409) || isRefused(error, 404)) return true;
      if (refusalOf(error)?.status === 403 && messageOf(error).includes("being terminated")) return true;
      this.#logger.warn({ event: "root_certificate.not_written", namespace, reason: messageOf(error) });
      return false;
    }
  }
}
