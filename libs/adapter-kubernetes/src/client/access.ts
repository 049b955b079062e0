import type { Clock } from "@lateen/kernel";

/** What a connection to the API server is made with. */
export interface AccessTls {
  /** PEM; undefined trusts the system's authorities. */
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  /** Name to check instead of the address. */
  readonly servername?: string;
  /** False only where a kubeconfig says `insecure-skip-tls-verify`. */
  readonly verify: boolean;
}

/** Where the API server is, and who we are to it. */
export interface ClusterAccess {
  /** `https://host:port`, perhaps with a path before that of the API. */
  readonly server: string;
  /** Namespace of this process, or of the context. */
  readonly namespace: string;
  /** As of now: files are read again when they may have changed. */
  tls(): Promise<AccessTls>;
  /** Value of the `authorization` header; undefined without one. */
  authorization(): Promise<string | undefined>;
  /** What was given was refused: the next call reads anew. */
  forget(): void;
}

/** Rotated files are noticed after this time. Projected tokens live an hour and are renewed at 80 % of it. */
const READ_AGAIN_MS = 30_000;

/** A text that is read from a file again from time to time. A file that cannot be read later leaves the last text in force. */
export class RereadFile {
  readonly #read: () => Promise<string>;
  readonly #clock: Clock;
  #text: string | undefined;
  #readAt = 0;

  constructor(clock: Clock, read: () => Promise<string>) {
    this.#clock = clock;
    this.#read = read;
  }

  async text(): Promise<string> {
    const now = this.#clock.monotonic();
    if (this.#text !== undefined && now - this.#readAt < READ_AGAIN_MS) return this.#text;
    try {
      this.#text = await this.#read();
    } catch (error) {
      if (this.#text === undefined) throw error;
    }
    this.#readAt = now;
    return this.#text;
  }

  forget(): void {
    this.#readAt = Number.NEGATIVE_INFINITY;
  }
}
