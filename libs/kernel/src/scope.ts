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

  /** Registers a disposer; when the scope is closed already it runs at once. */
  defer(disposer: Disposer): void {
    if (this.#closing) {
      this.#closing = this.#closing.then(disposer);
      return;
    }
    this.#disposers.push(disposer);
  }

  /** A scope that closes with this one, or before it. */
  child(): Scope {
    const child = new Scope();
    this.defer(() => child.close());
    return child;
  }

  close(): Promise<void> {
    this.#closing ??= this.#run();
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
