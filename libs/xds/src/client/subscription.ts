import type { DeltaDiscoveryRequest, DeltaDiscoveryResponse } from "@lateen/proto/envoy/service/discovery/v3/discovery";
import type { ApplyFailure, ReceivedResource, XdsUpdate } from "./update.ts";

const WILDCARD = "*";

/** What changed in the wanted names. */
export interface SubscriptionChange {
  readonly added: readonly string[];
  readonly dropped: readonly string[];
}

/** What a client wants of one type, and what it has. */
export class Subscription {
  readonly typeUrl: string;
  /** Live resources: name to version. */
  readonly versions: Map<string, string>;
  /** Whether this stream's first request of the type went out. */
  requested = false;
  #wildcard = false;
  #names: ReadonlySet<string> = new Set();
  readonly #absent = new Set<string>();

  constructor(typeUrl: string, initialVersions: ReadonlyMap<string, string> | undefined) {
    this.typeUrl = typeUrl;
    this.versions = new Map(initialVersions);
  }

  want(names: "*" | Iterable<string>): SubscriptionChange {
    const before = this.#terms();
    this.#wildcard = names === WILDCARD;
    this.#names = names === WILDCARD ? new Set() : new Set(names);
    const after = this.#terms();
    const dropped = [...before].filter((name) => !after.has(name));
    if (!this.#wildcard) {
      for (const name of this.versions.keys()) if (!this.#names.has(name)) this.versions.delete(name);
      for (const name of this.#absent) if (!this.#names.has(name)) this.#absent.delete(name);
    }
    return { added: [...after].filter((name) => !before.has(name)), dropped };
  }

  unanswered(): readonly string[] {
    return [...this.#names].filter((name) => !this.versions.has(name) && !this.#absent.has(name));
  }

  firstRequest(): DeltaDiscoveryRequest {
    this.requested = true;
    const held: Record<string, string> = {};
    for (const [name, version] of this.versions) held[name] = version;
    return { ...this.#blank(), resourceNamesSubscribe: [...this.#terms()], initialResourceVersions: held };
  }

  changeRequest(change: SubscriptionChange): DeltaDiscoveryRequest {
    return {
      ...this.#blank(),
      resourceNamesSubscribe: [...change.added],
      resourceNamesUnsubscribe: [...change.dropped],
    };
  }

  /** The response without what is not wanted any more. */
  read(response: DeltaDiscoveryResponse): XdsUpdate {
    const upserted: ReceivedResource[] = [];
    for (const { name, version, resource } of response.resources) {
      if (resource !== undefined && this.#wants(name)) upserted.push({ name, version, any: resource });
    }
    return {
      typeUrl: this.typeUrl,
      version: response.systemVersionInfo,
      nonce: response.nonce,
      upserted,
      removed: response.removedResources.filter((name) => this.#wants(name)),
    };
  }

  /** Notes what is live after an update. A name that was let go meanwhile is not taken back. */
  applied(update: XdsUpdate, failures: readonly ApplyFailure[]): void {
    const failed = new Set(failures.map((failure) => failure.name));
    for (const { name, version } of update.upserted) {
      if (!this.#wants(name)) continue;
      this.#absent.delete(name);
      if (!failed.has(name)) this.versions.set(name, version);
    }
    for (const name of update.removed) {
      if (failed.has(name)) continue;
      this.versions.delete(name);
      if (this.#names.has(name)) this.#absent.add(name);
    }
  }

  answer(nonce: string, failures: readonly ApplyFailure[]): DeltaDiscoveryRequest {
    const answer = { ...this.#blank(), responseNonce: nonce };
    if (failures.length === 0) return answer;
    const message = failures.map((failure) => `${failure.name}: ${failure.reason}`).join("; ");
    return { ...answer, errorDetail: { code: 3, message: message.slice(0, 4096), details: [] } };
  }

  #wants(name: string): boolean {
    return this.#wildcard || this.#names.has(name);
  }

  #terms(): ReadonlySet<string> {
    return this.#wildcard ? new Set([WILDCARD]) : this.#names;
  }

  #blank(): DeltaDiscoveryRequest {
    return {
      typeUrl: this.typeUrl,
      resourceNamesSubscribe: [],
      resourceNamesUnsubscribe: [],
      resourceLocatorsSubscribe: [],
      resourceLocatorsUnsubscribe: [],
      initialResourceVersions: {},
      responseNonce: "",
    };
  }
}
