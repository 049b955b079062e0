import type { Connection } from "../io/connection.ts";
import type { Slots } from "../stats/slots.ts";

/** All client connections of a worker: their number is bounded, and a drain can wait for the last one or break them. */
export class Downstreams {
  readonly #limit: number;
  readonly #stats: Slots;
  readonly #active: number;
  readonly #overflow: number;
  readonly #connections = new Set<Connection>();
  /** Called whenever none is left. */
  onEmpty: () => void = () => {};

  constructor(limit: number, stats: Slots) {
    this.#limit = limit;
    this.#stats = stats;
    this.#active = stats.gauge("envoy_server_total_connections", {});
    this.#overflow = stats.counter("envoy_listener_downstream_global_cx_overflow", {});
  }

  get size(): number {
    return this.#connections.size;
  }

  /** False when there are too many: the connection was refused. */
  add(connection: Connection): boolean {
    if (this.#connections.size >= this.#limit) {
      this.#stats.add(this.#overflow, 1);
      connection.reset();
      return false;
    }
    this.#track(connection);
    this.#stats.set(this.#active, this.#connections.size);
    return true;
  }

  /** The connection went on as another object over the same socket. */
  replaced(from: Connection, to: Connection): void {
    if (!this.#connections.delete(from)) return;
    from.onGone = undefined;
    this.#track(to);
  }

  destroy(): void {
    for (const connection of [...this.#connections]) connection.destroy();
  }

  #track(connection: Connection): void {
    this.#connections.add(connection);
    connection.onGone = () => {
      if (!this.#connections.delete(connection)) return;
      this.#stats.set(this.#active, this.#connections.size);
      if (this.#connections.size === 0) this.onEmpty();
    };
  }
}
