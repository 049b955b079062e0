import type { BrokenKind, ConnectionRecord } from "./connection-record.ts";

/** Records of each group that one worker keeps, unless it is to remember fewer requests than that. */
const LONGEST_LIST = 64;
/** Ids that one record keeps besides the latest. */
const EARLIER_IDS = 15;

/** What tells one cause from another: connections that agree in all of it share a record. */
export interface BrokenCause {
  readonly kind: BrokenKind;
  readonly connectionId: number;
  /** Epoch milliseconds. */
  readonly startTimeMs: number;
  readonly listener: string;
  readonly chain: string;
  readonly clientAddress: string;
  readonly destination: string;
  readonly flags: string;
  readonly details: string;
  readonly cluster: string;
}

/** The part of a record that is made only when there is none for its cause yet. */
export type BrokenDetail = Omit<ConnectionRecord, "connectionId" | "earlierIds" | "times" | "startTimeMs">;

interface Kept {
  readonly detail: BrokenDetail;
  connectionId: number;
  startTimeMs: number;
  times: number;
  earlierIds: number[];
}

/**
 * The connections that one worker refused or broke lately. Whoever floods it with connections of one kind gets one record for each
 * cause: what clients bring about before anybody knows who they are pushes out neither refusals by policy nor failures of upstreams.
 */
export class BrokenConnections {
  readonly #longest: number;
  readonly #lists: Readonly<Record<"unknown" | "policy" | "upstream", Map<string, Kept>>> = {
    unknown: new Map(),
    policy: new Map(),
    upstream: new Map(),
  };

  /** @param requests records of requests that the worker keeps; 0: connections are not kept either. */
  constructor(requests: number) {
    this.#longest = Math.min(LONGEST_LIST, requests);
  }

  get enabled(): boolean {
    return this.#longest > 0;
  }

  /** @param detail called only for a cause of which there is no record. */
  add(cause: BrokenCause, detail: () => BrokenDetail): void {
    if (!this.enabled) return;
    const list = this.#lists[groupOf(cause.kind)];
    const { kind, listener, chain, clientAddress, destination, flags, details, cluster } = cause;
    const key = [kind, listener, chain, clientAddress, destination, flags, details, cluster].join("\n");
    const known = list.get(key);
    const { connectionId, startTimeMs } = cause;
    if (known === undefined) {
      const [oldest] = list.size >= this.#longest ? list.keys() : [];
      if (oldest !== undefined) list.delete(oldest);
      list.set(key, { detail: detail(), connectionId, startTimeMs, times: 1, earlierIds: [] });
      return;
    }
    known.earlierIds.unshift(known.connectionId);
    if (known.earlierIds.length > EARLIER_IDS) known.earlierIds.pop();
    known.connectionId = connectionId;
    known.startTimeMs = startTimeMs;
    known.times++;
    // The map's order is that of use: the first is the one to go.
    list.delete(key);
    list.set(key, known);
  }

  /** Everything kept, the oldest first. */
  all(): readonly ConnectionRecord[] {
    const { unknown, policy, upstream } = this.#lists;
    return [...unknown.values(), ...policy.values(), ...upstream.values()]
      .map(({ detail, connectionId, startTimeMs, times, earlierIds }) => ({
        ...{ connectionId, earlierIds: [...earlierIds], times, startTimeMs },
        ...detail,
      }))
      .sort((a, b) => a.startTimeMs - b.startTimeMs);
  }
}

function groupOf(kind: BrokenKind): "unknown" | "policy" | "upstream" {
  switch (kind) {
    case "noChain":
    case "handshake":
      return "unknown";
    case "policy":
      return "policy";
    case "upstream":
    case "timeout":
      return "upstream";
  }
}
