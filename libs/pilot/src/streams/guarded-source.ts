import type { XdsNode } from "@lateen/compiler";
import { messageOf } from "@lateen/kernel";
import { type EncodedResource, type StreamSource, xdsTypes } from "@lateen/xds";
import type { PilotCompiler } from "../compiler-face.ts";

type Resources = ReadonlyMap<string, EncodedResource>;

export interface GuardedSourceOptions {
  readonly compiler: PilotCompiler;
  readonly node: XdsNode;
  readonly revision: () => number;
  readonly versionInfo: () => string;
  /** Told when a type starts to fail or fails otherwise than before, and (undefined) when it works again. */
  readonly onFailure: (typeUrl: string, reason: string | undefined) => void;
}

/**
 * What one proxy may get, shielded from exceptions of the compiler: where it throws, what this proxy was given last keeps serving,
 * and a proxy that was given nothing yet is told nothing rather than that there is nothing.
 */
export class GuardedSource implements StreamSource {
  readonly #options: GuardedSourceOptions;
  /** By type URL, lists of names apart from everything. */
  readonly #lastGood = new Map<string, Resources>();
  readonly #unknown = new Map<string, ReadonlySet<string>>();
  readonly #failures = new Map<string, string>();

  constructor(options: GuardedSourceOptions) {
    this.#options = options;
  }

  /** Type URL → why the compiler could not answer for it. */
  get failures(): ReadonlyMap<string, string> {
    return this.#failures;
  }

  revision(): number {
    return this.#options.revision();
  }

  versionInfo(): string {
    return this.#options.versionInfo();
  }

  resources(typeUrl: string, names?: ReadonlySet<string>): Resources | undefined {
    const keptUnder = names === undefined ? typeUrl : `${typeUrl} named`;
    this.#unknown.delete(typeUrl);
    if (REFERRING.has(typeUrl) && this.#failures.has(xdsTypes.cluster)) {
      // New routes may refer to clusters that this proxy cannot be given now.
      this.#note(typeUrl, "waits for clusters, which cannot be compiled");
      return this.#kept(typeUrl, names, keptUnder);
    }
    try {
      const answer = this.#options.compiler.resources(this.#options.node, typeUrl, names);
      this.#lastGood.set(keptUnder, answer);
      this.#note(typeUrl, undefined);
      return answer;
    } catch (error) {
      this.#note(typeUrl, messageOf(error));
      return names === undefined ? this.#lastGood.get(keptUnder) : this.#oneByOne(typeUrl, names, keptUnder);
    }
  }

  whole(typeUrl: string): Resources | undefined {
    if (REFERRING.has(typeUrl) && this.#failures.has(xdsTypes.cluster)) return undefined;
    try {
      const answer = this.#options.compiler.resources(this.#options.node, typeUrl);
      // Whatever names were asked for, these are their resources.
      this.#lastGood.set(`${typeUrl} named`, answer);
      this.#unknown.delete(typeUrl);
      this.#note(typeUrl, undefined);
      return answer;
    } catch {
      // Asked name by name, those that can be compiled are found.
      return undefined;
    }
  }

  unknown(typeUrl: string): ReadonlySet<string> {
    return this.#unknown.get(typeUrl) ?? NONE;
  }

  /** What was given last, and of the rest nothing can be said. */
  #kept(typeUrl: string, names: ReadonlySet<string> | undefined, keptUnder: string): Resources | undefined {
    const lastGood = this.#lastGood.get(keptUnder);
    if (names === undefined) return lastGood;
    this.#unknown.set(typeUrl, new Set([...names].filter((name) => !lastGood?.has(name))));
    return new Map([...(lastGood ?? [])].filter(([name]) => names.has(name)));
  }

  /** One bad name must not take the others with it. */
  #oneByOne(typeUrl: string, names: ReadonlySet<string>, keptUnder: string): Resources {
    const { compiler, node } = this.#options;
    const lastGood = this.#lastGood.get(keptUnder);
    const answer = new Map<string, EncodedResource>();
    const unknown = new Set<string>();
    for (const name of names) {
      try {
        for (const [key, resource] of compiler.resources(node, typeUrl, new Set([name]))) answer.set(key, resource);
      } catch {
        const kept = lastGood?.get(name);
        if (kept === undefined) unknown.add(name);
        else answer.set(name, kept);
      }
    }
    this.#lastGood.set(keptUnder, answer);
    this.#unknown.set(typeUrl, unknown);
    return answer;
  }

  #note(typeUrl: string, reason: string | undefined): void {
    if (this.#failures.get(typeUrl) === reason) return;
    if (reason === undefined) this.#failures.delete(typeUrl);
    else this.#failures.set(typeUrl, reason);
    this.#options.onFailure(typeUrl, reason);
  }
}

/** Types whose resources name clusters. */
const REFERRING: ReadonlySet<string> = new Set([xdsTypes.listener, xdsTypes.route]);
const NONE: ReadonlySet<string> = new Set();
