/** Frees something; may be asynchronous. */
export type Disposer = () => void | Promise<void>;

/**
 * The lifetime of what was started in it. Closing aborts `signal`, then runs the disposers in reverse order; every disposer
 * runs even when another throws, and the first failure is thrown at the end. Closing twice waits for the first close.
 */
export class Scope {
  readonly #controller = new AbortController();
  readonly #disposers: Disposer[] = [];
  #closing: Promise<void> | undefined;

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get closed(): boolean {
    return this.#closing !== undefined;
  }

  /** Registers a disposer; once the scope has begun to close it runs as soon as the others are done. */
  defer(disposer: Disposer): void {
    if (this.#closing === undefined) {
      this.#disposers.push(disposer);
      return;
    }
    this.#closing = this.#closing.finally(disposer);
    // Whoever closes again hears of a failure; nobody else waits for it.
    this.#closing.catch(() => undefined);
  }

  /** A scope that closes with this one, or before it. */
  child(): Scope {
    const child = new Scope();
    this.defer(() => child.close());
    return child;
  }

  close(): Promise<void> {
    if (this.#closing === undefined) {
      // Set before the first disposer runs, so that what it starts or closes finds the scope closing.
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      this.#closing = promise;
      this.#run().then(resolve, reject);
    }
    return this.#closing;
  }

  async #run(): Promise<void> {
    this.#controller.abort(new Error("scope closed"));
    let failure: unknown;
    for (let disposer = this.#disposers.pop(); disposer; disposer = this.#disposers.pop()) {
      try {
        await disposer();
      } catch (error) {
        failure ??= error;
      }
    }
    if (failure !== undefined) throw failure;
  }
}
