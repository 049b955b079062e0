import { type Diagnostic, type MeshConfig, meshConfigFromConfigMap, resourceKey } from "@lateen/mesh-model";
import { otherTrustDomain } from "../errors.ts";
import type { World } from "./world.ts";

/**
 * The mesh configuration in force: the ConfigMap `istio` of the root namespace over the start-up defaults. One that cannot be read
 * changes nothing and is reported. The trust domain stays that of the start: certificates are issued in it.
 */
export class MeshSettings {
  readonly #defaults: MeshConfig;
  #seen: unknown;
  #current: MeshConfig;
  #problems: readonly Diagnostic[] = [];

  constructor(defaults: MeshConfig) {
    this.#defaults = defaults;
    this.#current = defaults;
  }

  get current(): MeshConfig {
    return this.#current;
  }

  /** Why the ConfigMap of now is not in force; empty when it is. */
  get problems(): readonly Diagnostic[] {
    return this.#problems;
  }

  /** Looks again; the new settings if they changed. */
  refresh(world: World): MeshConfig | undefined {
    const map = world.get(resourceKey("ConfigMap", this.#defaults.rootNamespace, "istio"));
    if (map === this.#seen) return undefined;
    this.#seen = map;
    this.#problems = [];
    if (map?.kind !== "ConfigMap") return this.#use(this.#defaults);
    const read = meshConfigFromConfigMap(map, this.#defaults);
    if (!read.ok) {
      this.#problems = read.error;
      return undefined;
    }
    const { trustDomain } = this.#defaults;
    if (read.value.trustDomain === trustDomain) return this.#use(read.value);
    this.#problems = [otherTrustDomain(read.value.trustDomain, trustDomain)];
    return this.#use({ ...read.value, trustDomain });
  }

  #use(next: MeshConfig): MeshConfig {
    this.#current = next;
    return next;
  }
}
