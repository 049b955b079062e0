import type { Logger } from "@lateen/kernel";
import { diagnosticText, formatOrigin, type RateLimitDomain, rateLimitsFromText } from "@lateen/mesh-model";
import { compileDomain, type DomainTable } from "./domain-table.ts";
import type { LimitMetrics } from "./limit-metrics.ts";

/** A configuration of limits as text. */
export interface LimitDocument {
  /** File, or ConfigMap and key; for messages too. */
  readonly name: string;
  /** Undefined: it is gone. */
  readonly text: string | undefined;
}

interface InForce {
  readonly domain: RateLimitDomain;
  readonly table: DomainTable;
}

/**
 * The limits in force. Each document is one domain and stands for itself: one that cannot be used is reported with its line, and what it said
 * before stays in force.
 */
export class LimitConfig {
  readonly #logger: Logger;
  readonly #metrics: LimitMetrics;
  readonly #inForce = new Map<string, InForce>();
  readonly #rejected = new Map<string, string>();
  /** Texts that wait for another document to give up their domain. */
  readonly #waiting = new Map<string, string>();
  #byDomain: ReadonlyMap<string, DomainTable> = new Map();

  constructor(logger: Logger, metrics: LimitMetrics) {
    this.#logger = logger;
    this.#metrics = metrics;
  }

  table(domain: string): DomainTable | undefined {
    return this.#byDomain.get(domain);
  }

  /** Why documents are not in force, by name. */
  get rejected(): ReadonlyMap<string, string> {
    return this.#rejected;
  }

  update(documents: readonly LimitDocument[]): void {
    for (const { name, text } of documents) {
      this.#waiting.delete(name);
      if (text !== undefined) this.#read(name, text);
      else {
        this.#inForce.delete(name);
        this.#rejected.delete(name);
      }
    }
    // A domain that moved from one document to another may have come before it had gone.
    for (const [name, text] of [...this.#waiting]) {
      this.#waiting.delete(name);
      this.#read(name, text);
    }
    this.#byDomain = new Map([...this.#inForce.values()].map(({ domain, table }) => [domain.domain, table]));
    this.#metrics.domains.set(this.#byDomain.size);
    this.#metrics.rejected.set(this.#rejected.size);
  }

  #read(name: string, text: string): void {
    const read = rateLimitsFromText(text, name);
    if (!read.ok) {
      const problems = read.error.map((one) => `${formatOrigin(one.origin)}: ${diagnosticText(one)}`);
      this.#reject(name, problems.join("; "));
      return;
    }
    const { domain } = read.value;
    const other = [...this.#inForce].find(([file, known]) => file !== name && known.domain.domain === domain)?.[0];
    if (other !== undefined) {
      this.#waiting.set(name, text);
      this.#reject(name, `${name}: domain "${domain}" is in ${other} already`);
      return;
    }
    this.#rejected.delete(name);
    this.#inForce.set(name, { domain: read.value, table: compileDomain(read.value) });
    this.#logger.info({ event: "limits.in_force", document: name, domain });
  }

  #reject(name: string, reason: string): void {
    if (this.#rejected.get(name) === reason) return;
    this.#rejected.set(name, reason);
    const lastGood = this.#inForce.has(name);
    this.#logger.warn({ event: "limits.rejected", document: name, reason, lastGoodServes: lastGood });
  }
}
