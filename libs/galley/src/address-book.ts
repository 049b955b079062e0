import type { ResourceKey } from "@lateen/mesh-model";

/** Cluster addresses in use, with their owners. */
export class AddressBook {
  readonly #owners = new Map<string, ResourceKey>();
  readonly #taken = new Set<string>();

  /** All addresses in use. */
  get taken(): ReadonlySet<string> {
    return this.#taken;
  }

  ownerOf(address: string): ResourceKey | undefined {
    return this.#owners.get(address);
  }

  claim(address: string, owner: ResourceKey): void {
    this.#owners.set(address, owner);
    this.#taken.add(address);
  }

  free(address: string): void {
    this.#owners.delete(address);
    this.#taken.delete(address);
  }
}
