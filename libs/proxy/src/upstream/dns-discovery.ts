import type { ClusterSpec, DnsRules, EndpointSpec, LocalityEndpointsSpec } from "../config/plan.ts";
import type { DnsAnswer, DnsQuestion } from "../io/resolver.ts";
import type { WheelTimer } from "../io/timer-wheel.ts";
import type { ClusterCounters } from "../stats/cluster-counters.ts";
import type { UpstreamContext } from "./cluster.ts";

/** What watching names needs besides the cluster's settings. */
export interface DnsSurroundings {
  readonly context: Pick<UpstreamContext, "io" | "lookup" | "random">;
  readonly counters: ClusterCounters;
  /** Told the endpoints, whenever they are others than before. */
  readonly changed: (localities: readonly LocalityEndpointsSpec[]) => void;
  /** The watch of the cluster's version before, whose addresses count until there are newer ones. */
  readonly before: DnsDiscovery | undefined;
}

interface Name {
  readonly host: string;
  addresses: readonly string[];
  readonly timer: WheelTimer;
  /** Failures in a row. */
  failures: number;
}

/**
 * Keeps the addresses of a DNS cluster's host names. Every name has its own times, as in Envoy: it is asked for again when its
 * answer is out of date (`respect_dns_ttl`) or `dns_refresh_rate` is over, and after a failure by `dns_failure_refresh_rate`.
 * A failure changes no addresses; a name service that says that there are none takes them away (a logical name keeps its last).
 */
export class DnsDiscovery {
  readonly #spec: ClusterSpec;
  readonly #rules: DnsRules;
  readonly #around: DnsSurroundings;
  readonly #names = new Map<string, Name>();
  #unanswered = 0;
  #whenAnswered: (() => void)[] = [];
  #stopped = false;

  constructor(spec: ClusterSpec, rules: DnsRules, around: DnsSurroundings) {
    this.#spec = spec;
    this.#rules = rules;
    this.#around = around;
    for (const { address } of spec.endpoints.flatMap((locality) => locality.endpoints)) {
      if (this.#names.has(address)) continue;
      const name: Name = {
        host: address,
        addresses: around.before?.addressesOf(address) ?? [],
        timer: around.context.io.wheel.timer(() => this.#ask(name)),
        failures: 0,
      };
      this.#names.set(address, name);
    }
  }

  /** Begins. Not part of the constructor: `changed` may be called before this returns. */
  start(): void {
    if ([...this.#names.values()].some(({ addresses }) => addresses.length > 0)) this.#publish();
    this.#unanswered = [...this.#names.values()].filter(({ addresses }) => addresses.length === 0).length;
    for (const name of this.#names.values()) this.#ask(name);
  }

  /** Resolves when every name was answered once, or failed once. */
  answered(): Promise<void> {
    if (this.#unanswered === 0) return Promise.resolve();
    return new Promise((resolve) => this.#whenAnswered.push(resolve));
  }

  addressesOf(host: string): readonly string[] | undefined {
    return this.#names.get(host)?.addresses;
  }

  stop(): void {
    this.#stopped = true;
    for (const { timer } of this.#names.values()) timer.cancel();
    this.#settle(this.#unanswered);
  }

  #ask(name: Name): void {
    const { family, servers, exact, respectTtl, refreshMs } = this.#rules;
    const question: DnsQuestion = {
      host: name.host,
      family,
      ttl: respectTtl,
      ...(servers === undefined ? {} : { servers }),
      ...(exact === true ? { exact } : {}),
    };
    const first = this.#unanswered > 0 && name.addresses.length === 0 && name.failures === 0;
    this.#around.counters.dnsAttempt();
    // What another cluster has just been told will do.
    void this.#around.context
      .lookup(question, Math.min(1000, refreshMs / 2))
      .then(
        (answer) => this.#answered(name, answer),
        () => this.#failed(name),
      )
      .finally(() => {
        if (first) this.#settle(1);
      });
  }

  #answered(name: Name, { addresses, ttlMs }: DnsAnswer): void {
    if (this.#stopped) return;
    const { counters } = this.#around;
    if (addresses.length === 0) counters.dnsEmpty();
    else counters.dnsSuccess();
    const logical = this.#spec.discovery === "logicalDns";
    const used = logical ? addresses.slice(0, 1) : addresses;
    // A logical name goes by what it was told last.
    if (!(logical && used.length === 0) && !sameSet(used, name.addresses)) {
      name.addresses = used;
      this.#publish();
    }
    if (addresses.length === 0) {
      this.#backOff(name);
      return;
    }
    name.failures = 0;
    const { respectTtl, refreshMs } = this.#rules;
    name.timer.arm(respectTtl && ttlMs !== undefined && ttlMs > 0 ? ttlMs : refreshMs);
  }

  #failed(name: Name): void {
    if (this.#stopped) return;
    this.#around.counters.dnsFailure();
    this.#backOff(name);
  }

  #backOff(name: Name): void {
    const { refreshMs, failure } = this.#rules;
    const grown = failure === undefined ? refreshMs : Math.min(failure.maxMs, failure.baseMs * 2 ** name.failures);
    name.failures = Math.min(name.failures + 1, 32);
    // Half of it is by chance: names that failed together are not asked for together for ever.
    name.timer.arm(failure === undefined ? grown : (grown * (1 + this.#around.context.random())) / 2);
  }

  #settle(count: number): void {
    this.#unanswered = Math.max(0, this.#unanswered - count);
    if (this.#unanswered > 0) return;
    for (const resolve of this.#whenAnswered.splice(0)) resolve();
  }

  #publish(): void {
    const resolved = (endpoint: EndpointSpec): readonly EndpointSpec[] =>
      (this.#names.get(endpoint.address)?.addresses ?? []).map((address) => ({ ...endpoint, address }));
    this.#around.changed(
      this.#spec.endpoints.map((locality) => ({ ...locality, endpoints: locality.endpoints.flatMap(resolved) })),
    );
  }
}

/** Name servers give the same addresses in ever other orders. */
function sameSet(left: readonly string[], right: readonly string[]): boolean {
  return left.length === right.length && left.every((address) => right.includes(address));
}
