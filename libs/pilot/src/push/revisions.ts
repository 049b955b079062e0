/** How many steps of the configuration are remembered. */
const REMEMBERED = 256;

/**
 * Which push first carried which configuration revision. Pushes are numbered by us and only grow; configuration revisions are
 * galley's, and changes of what runs make pushes without a new one.
 */
export class Revisions {
  readonly #steps: { readonly config: number; readonly push: number }[] = [];
  #push = 0;
  #config = 0;

  /** Number of the last push; 0 before the first. */
  get push(): number {
    return this.#push;
  }

  /** Configuration revision of the last push. */
  get config(): number {
    return this.#config;
  }

  next(config: number): void {
    this.#push++;
    if (config !== this.#config || this.#steps.length === 0) this.#steps.push({ config, push: this.#push });
    if (this.#steps.length > REMEMBERED) this.#steps.shift();
    this.#config = config;
  }

  /**
   * The push from which on a configuration revision is in force; undefined when it was not pushed yet. For revisions so old that
   * they are forgotten it is the oldest push that is remembered, which had it as well.
   */
  pushOf(config: number): number | undefined {
    return this.#steps.find((step) => step.config >= config)?.push;
  }
}
