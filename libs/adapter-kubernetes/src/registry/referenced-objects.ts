import { type Clock, type Logger, messageOf, type Random, type Scope, silentLogger, systemClock } from "@lateen/kernel";
import { decodeObject, parseResourceKey } from "@lateen/mesh-model";
import type { RegistryObject } from "@lateen/ports";
import type { KubernetesApi } from "../client/api.ts";
import { type ApiObject, isFields } from "../client/objects.ts";
import { refusalOf } from "../errors.ts";
import type { FollowOptions } from "../watch/follow.ts";
import type { Changes } from "../watch/held.ts";
import { backoff, DEFAULT_TUNING, pause, type WatchTuning } from "../watch/pauses.ts";
import type { Watched } from "../watch/reflector.ts";
import type { Wanted } from "./references.ts";

/** Secrets of these types are no credentials, and often many. */
const NO_CREDENTIALS = "type!=helm.sh/release.v1,type!=kubernetes.io/service-account-token";
/** What is read of a Secret or ConfigMap. */
const PARTS: ReadonlySet<string> = new Set(["tls.crt", "tls.key", "cert", "key", "ca.crt", "cacert", "ca.crl"]);
const ORIGIN = { file: "kubernetes", line: 1, column: 1 };

const versions = (kind: "Secret" | "ConfigMap", plural: string): Watched<string> => ({
  addresses: [{ group: "", version: "v1", plural }],
  metadataOnly: true,
  keyOf: ({ metadata }) => `${kind}/${metadata.namespace}/${metadata.name}`,
  convert: ({ metadata: { resourceVersion = "" } }) => ({
    outcome: "kept",
    value: resourceVersion,
    print: resourceVersion,
  }),
});

/** Which Secrets and ConfigMaps there are, and in which version; what is in them is not asked for. */
export const CREDENTIAL_VERSIONS: readonly Watched<string>[] = [
  { ...versions("Secret", "secrets"), fieldSelector: NO_CREDENTIALS },
  versions("ConfigMap", "configmaps"),
];

/** Holds the Secrets and ConfigMaps that are referred to, and only those. A version that cannot be read leaves the one before in force. */
export class ReferencedObjects {
  readonly #api: KubernetesApi;
  readonly #scope: Scope;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #logger: Logger;
  readonly #tuning: WatchTuning;
  readonly #deliver: (changes: Changes<RegistryObject>) => void;
  readonly #present = new Map<string, string>();
  /** Version that the receiver has. */
  readonly #loaded = new Map<string, string>();
  /** To be read. */
  readonly #due = new Set<string>();
  /** Of those, what the API server did not give us. */
  readonly #denied = new Set<string>();
  readonly #settled = Promise.withResolvers<void>();
  #wanted: Wanted | undefined;
  #listed = false;
  #working = false;

  constructor(
    api: KubernetesApi,
    options: FollowOptions & { readonly scope: Scope },
    deliver: (changes: Changes<RegistryObject>) => void,
  ) {
    this.#api = api;
    this.#scope = options.scope;
    this.#clock = options.clock ?? systemClock();
    this.#random = options.random ?? { next: Math.random };
    this.#logger = (options.logger ?? silentLogger).child({ component: "credentials" });
    this.#tuning = { ...DEFAULT_TUNING, ...options.tuning };
    this.#deliver = deliver;
    options.scope.signal.addEventListener("abort", () => this.#settled.resolve(), { once: true });
  }

  /** Resolves once everything that is referred to, and that we may read, was delivered. */
  get settled(): Promise<void> {
    return this.#settled.promise;
  }

  want(wanted: Wanted): void {
    this.#wanted = wanted;
    for (const key of new Set([...this.#present.keys(), ...this.#loaded.keys()])) this.#look(key);
    this.#go();
  }

  /** Versions of what there is, as {@link CREDENTIAL_VERSIONS} tells them. */
  take(changes: Changes<string>): void {
    this.#listed = true;
    for (const [key, version] of changes) {
      if (version === undefined) this.#present.delete(key);
      else this.#present.set(key, version);
      this.#look(key);
    }
    this.#go();
  }

  #look(key: string): void {
    const version = this.#isWanted(key) ? this.#present.get(key) : undefined;
    if (version === undefined) {
      this.#due.delete(key);
      if (this.#loaded.delete(key)) this.#deliver(new Map([[key, undefined]]));
    } else if (this.#loaded.get(key) !== version) this.#due.add(key);
  }

  #isWanted(key: string): boolean {
    const { kind, name } = parseResourceKey(key) ?? { kind: "", name: "" };
    return this.#wanted !== undefined && (this.#wanted.has(key) || this.#wanted.has(`${kind}//${name}`));
  }

  #go(): void {
    if (!this.#working) void this.#work();
  }

  async #work(): Promise<void> {
    this.#working = true;
    for (let failures = 0; this.#due.size > 0 && !this.#scope.closed; ) {
      let failed = false;
      for (const key of [...this.#due]) {
        if (this.#due.has(key) && !(await this.#read(key))) failed = true;
        if (this.#scope.closed) break;
      }
      this.#check();
      if (failed) await pause(this.#clock, backoff(this.#tuning, ++failures, this.#random), this.#scope.signal);
    }
    this.#working = false;
    this.#check();
  }

  #check(): void {
    if (this.#wanted === undefined || !this.#listed) return;
    if ([...this.#due].every((key) => this.#denied.has(key))) this.#settled.resolve();
  }

  /** @returns whether it need not be tried again. */
  async #read(key: string): Promise<boolean> {
    const parts = parseResourceKey(key);
    const version = this.#present.get(key);
    if (parts === undefined || version === undefined) return this.#due.delete(key);
    const plural = parts.kind === "Secret" ? "secrets" : "configmaps";
    try {
      const found = await this.#api.get({ group: "", version: "v1", plural, namespace: parts.namespace }, parts.name);
      this.#denied.delete(key);
      this.#due.delete(key);
      // Meanwhile it may be wanted no more, or gone.
      if (!this.#isWanted(key) || !this.#present.has(key)) return true;
      this.#loaded.set(key, this.#present.get(key) === version ? version : "");
      const decoded = decodeObject(reduced(parts.kind, found), ORIGIN);
      if (decoded.ok) this.#deliver(new Map([[key, decoded.object as RegistryObject]]));
      else this.#complain(key, decoded.diagnostics.map(({ message }) => message).join("; "));
      if (this.#present.get(key) !== version) this.#due.add(key);
      return true;
    } catch (error) {
      const status = refusalOf(error)?.status ?? 0;
      if (status >= 400 && status < 500 && status !== 401 && status !== 429) {
        if (!this.#denied.has(key)) this.#complain(key, messageOf(error));
        this.#denied.add(key);
      } else this.#logger.debug({ event: "credential.not_read", object: key, reason: messageOf(error) });
      return false;
    }
  }

  /** Names of what is in it are no secret; the values never are in messages. */
  #complain(key: string, reason: string): void {
    this.#logger.warn({ event: "credential.not_read", object: key, reason });
  }
}

function reduced(kind: string, { metadata, type, data }: ApiObject) {
  const { name, namespace, creationTimestamp } = metadata;
  const kept = Object.entries(isFields(data) ? data : {}).filter(([part]) => PARTS.has(part));
  return {
    apiVersion: "v1",
    kind,
    metadata: { name, namespace, creationTimestamp },
    ...(kind === "Secret" && type !== undefined ? { type } : {}),
    data: Object.fromEntries(kept),
  };
}
