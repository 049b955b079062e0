/** The TLS session of an endpoint to resume; valid only for the context it was made with. */
export class TlsSessions {
  #session: Buffer | undefined = undefined;
  #context: unknown = undefined;

  get(context: unknown): Buffer | undefined {
    return this.#context === context ? this.#session : undefined;
  }

  keep(context: unknown, session: Buffer): void {
    this.#context = context;
    this.#session = session;
  }
}
