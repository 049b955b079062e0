import type { PeerNote, UpstreamPeers } from "../upstream/peers.ts";
import { SharedLoad } from "../upstream/shared-load.ts";
import type { FromWorker, WorkerBootstrap } from "./protocol.ts";

/** The other workers of the process, as this one deals with them: by shared memory, and by notes that the agent thread passes on. */
export class Peers implements UpstreamPeers {
  readonly #memory: SharedArrayBuffer | undefined;
  readonly #worker: number;
  readonly #post: (message: FromWorker) => void;
  readonly #places = new Map<string, number>();
  #notes: PeerNote[] = [];
  #probes = false;

  constructor(bootstrap: WorkerBootstrap, post: (message: FromWorker) => void) {
    this.#memory = bootstrap.loads;
    this.#worker = bootstrap.index;
    this.#post = post;
  }

  /** Where the load of these clusters is counted. */
  place(loads: Readonly<Record<string, number>>): void {
    for (const [cluster, index] of Object.entries(loads)) this.#places.set(cluster, index);
  }

  forget(clusters: readonly string[]): void {
    for (const cluster of clusters) this.#places.delete(cluster);
  }

  load(cluster: string, high: boolean): SharedLoad | undefined {
    const index = this.#places.get(cluster);
    if (this.#memory === undefined || index === undefined) return undefined;
    return new SharedLoad(this.#memory, { index, high, worker: this.#worker });
  }

  get probes(): boolean {
    return this.#probes;
  }

  beginProbes(): void {
    this.#probes = true;
  }

  /** What is told in one go travels together. */
  tell(note: PeerNote): void {
    if (this.#notes.push(note) > 1) return;
    queueMicrotask(() => {
      const notes = this.#notes;
      this.#notes = [];
      this.#post({ type: "notes", notes });
    });
  }
}
