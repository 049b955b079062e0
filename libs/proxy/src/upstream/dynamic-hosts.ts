import type { DnsRules, DynamicHostsSpec, EndpointSpec } from "../config/plan.ts";
import type { DnsAnswer } from "../io/resolver.ts";
import type { WheelTimer } from "../io/timer-wheel.ts";
import { splitAuthority } from "../listener/destinations.ts";
import type { ClusterCounters } from "../stats/cluster-counters.ts";
import type { UpstreamContext } from "./cluster.ts";
import type { Endpoint } from "./endpoint.ts";

/** How a look-up ended. */
export type HostOutcome = "ready" | "failed" | "overflow";

/** What hosts are made of. */
export interface DynamicSurroundings {
  readonly context: Pick<UpstreamContext, "io" | "lookup" | "random">;
  readonly counters: ClusterCounters;
  /** Port of an authority that names none. */
  readonly defaultPort: number;
  make(spec: EndpointSpec, host: string): Endpoint;
  /** A host was not asked for any more. */
  drop(key: string): void;
}

interface Host {
  readonly key: string;
  readonly name: string;
  readonly port: number;
  endpoint: Endpoint | undefined;
  usedMs: number;
  failures: number;
  /** Counts questions: an answer that came too late is another one's. */
  question: number;
  readonly timer: WheelTimer;
  readonly waiting: Set<(outcome: HostOutcome) => void>;
}

/**
 * The hosts that requests of a dynamic forward proxy ask for: looked up when first asked for, kept up to date while they are used,
 * forgotten when they are not. A failure changes no address; a host that has none yet is forgotten, and its requests are told.
 * @see envoy.extensions.common.dynamic_forward_proxy.v3.DnsCacheConfig
 */
export class DynamicHosts {
  readonly #spec: DynamicHostsSpec;
  readonly #rules: DnsRules;
  readonly #around: DynamicSurroundings;
  readonly #hosts = new Map<string, Host>();
  #pending = 0;
  #stopped = false;

  constructor(spec: DynamicHostsSpec, rules: DnsRules, around: DynamicSurroundings) {
    this.#spec = spec;
    this.#rules = rules;
    this.#around = around;
  }

  /** The host of an authority, when its address is known. */
  find(authority: string): Endpoint | undefined {
    const asked = this.#split(authority);
    const host = asked === undefined ? undefined : this.#hosts.get(asked.key);
    if (host === undefined) return undefined;
    host.usedMs = this.#around.context.io.wheel.now();
    return host.endpoint;
  }

  /** `done` is called later, unless the outcome is known at once. A function gives up waiting. */
  require(authority: string, done: (outcome: HostOutcome) => void): HostOutcome | (() => void) {
    const asked = this.#split(authority);
    if (asked === undefined || this.#stopped) return "failed";
    const known = this.#hosts.get(asked.key);
    if (known?.endpoint !== undefined) return "ready";
    if (known === undefined && (!this.#hasRoom() || this.#pending >= this.#spec.maxPending)) return "overflow";
    const host = known ?? this.#add(asked);
    host.waiting.add(done);
    if (known === undefined) {
      this.#pending++;
      this.#ask(host);
    }
    return () => host.waiting.delete(done);
  }

  stop(): void {
    this.#stopped = true;
    for (const host of this.#hosts.values()) {
      host.timer.cancel();
      this.#settle(host, "failed");
    }
  }

  #split(authority: string) {
    const found = splitAuthority(authority, this.#around.defaultPort);
    if (found === undefined) return undefined;
    const name = found.host.toLowerCase();
    return { key: `${name}|${found.port}`, name, port: found.port };
  }

  #hasRoom(): boolean {
    if (this.#hosts.size < this.#spec.maxHosts) return true;
    for (const host of [...this.#hosts.values()]) if (this.#isStale(host)) this.#remove(host);
    return this.#hosts.size < this.#spec.maxHosts;
  }

  #add({ key, name, port }: { readonly key: string; readonly name: string; readonly port: number }): Host {
    const { wheel } = this.#around.context.io;
    const host: Host = {
      key,
      name,
      port,
      endpoint: undefined,
      usedMs: wheel.now(),
      failures: 0,
      question: 0,
      timer: wheel.timer(() => this.#due(host)),
      waiting: new Set(),
    };
    this.#hosts.set(key, host);
    return host;
  }

  #ask(host: Host): void {
    const { family, servers, exact, refreshMs } = this.#rules;
    const { queryTimeoutMs } = this.#spec;
    const question = ++host.question;
    this.#around.counters.dnsAttempt();
    if (host.endpoint === undefined && queryTimeoutMs > 0) host.timer.arm(queryTimeoutMs);
    void this.#around.context
      .lookup(
        {
          host: host.name,
          family,
          ttl: true,
          ...(servers === undefined ? {} : { servers }),
          ...(exact === true ? { exact } : {}),
        },
        Math.min(1000, refreshMs / 2),
      )
      .then(
        (answer) => question === host.question && this.#answered(host, answer),
        () => question === host.question && this.#failed(host),
      );
  }

  #answered(host: Host, { addresses, ttlMs }: DnsAnswer): void {
    if (this.#stopped) return;
    const [address] = addresses;
    if (address === undefined) {
      this.#failed(host);
      return;
    }
    this.#around.counters.dnsSuccess();
    host.failures = 0;
    const spec: EndpointSpec = {
      address,
      port: host.port,
      weight: 1,
      healthy: true,
      transportSocketMatch: {},
      workload: undefined,
    };
    if (host.endpoint === undefined) {
      host.endpoint = this.#around.make(spec, host.name);
      this.#pending--;
    } else if (host.endpoint.spec.address !== address) host.endpoint.relocate(spec);
    host.timer.arm(Math.max(this.#spec.minRefreshMs, ttlMs ?? this.#rules.refreshMs));
    this.#settle(host, "ready");
  }

  #failed(host: Host): void {
    if (this.#stopped) return;
    this.#around.counters.dnsFailure();
    if (host.endpoint === undefined) {
      this.#remove(host);
      return;
    }
    const { refreshMs, failure } = this.#rules;
    const grown = failure === undefined ? refreshMs : Math.min(failure.maxMs, failure.baseMs * 2 ** host.failures);
    host.failures = Math.min(host.failures + 1, 32);
    host.timer.arm(failure === undefined ? grown : (grown * (1 + this.#around.context.random())) / 2);
  }

  /** Its answer is out of date, or has not come in time. */
  #due(host: Host): void {
    if (host.endpoint === undefined) {
      host.question++;
      this.#failed(host);
    } else if (this.#isStale(host)) this.#remove(host);
    else this.#ask(host);
  }

  #isStale(host: Host): boolean {
    return host.endpoint !== undefined && this.#around.context.io.wheel.now() - host.usedMs >= this.#spec.hostTtlMs;
  }

  #remove(host: Host): void {
    if (!this.#hosts.delete(host.key)) return;
    host.timer.cancel();
    host.question++;
    if (host.endpoint === undefined) this.#pending--;
    else this.#around.drop(host.key);
    this.#settle(host, "failed");
  }

  #settle(host: Host, outcome: HostOutcome): void {
    const waiting = [...host.waiting];
    host.waiting.clear();
    for (const done of waiting) done(outcome);
  }
}
