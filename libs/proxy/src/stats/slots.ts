import type { SeriesDefinition } from "../worker/protocol.ts";

/** Upper bounds of the standard histograms, as Istio's (milliseconds or bytes). */
export const HISTOGRAM_BOUNDS: readonly number[] = [
  0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 300000, 600000, 1800000, 3600000,
];

/**
 * Counters in shared memory. The worker is the only writer; the agent reads. A series is a slot index, resolved once and the same
 * whoever asks for the same name and labels; counting is an addition to a Float64. When the memory is used up, further series share one overflow slot range, so totals stay exact.
 */
export class Slots {
  readonly values: Float64Array;
  #used = 0;
  #fresh: SeriesDefinition[] = [];
  readonly #overflow = new Map<string, number>();
  readonly #known = new Map<string, number>();
  readonly #onFresh: () => void;

  /** `onFresh` runs when a series was defined and `takeFresh` should be sent soon. */
  constructor(memory: SharedArrayBuffer, onFresh: () => void) {
    this.values = new Float64Array(memory);
    this.#onFresh = onFresh;
  }

  counter(name: string, labels: Readonly<Record<string, string>>): number {
    return this.#define(name, "counter", labels, 1);
  }

  /** @param options `common`: every worker says the same of a state that they share. */
  gauge(name: string, labels: Readonly<Record<string, string>>, options: { readonly common?: boolean } = {}): number {
    const before = this.#used;
    const slot = this.#define(name, "gauge", labels, 1);
    const made = this.#fresh.at(-1);
    if (options.common === true && this.#used > before && made?.slot === slot) {
      this.#fresh[this.#fresh.length - 1] = { ...made, common: true };
    }
    return slot;
  }

  /** First slot of a histogram: one per bound, one for +Inf, one for the sum. */
  histogram(name: string, labels: Readonly<Record<string, string>>): number {
    return this.#define(name, "histogram", labels, HISTOGRAM_BOUNDS.length + 2);
  }

  add(slot: number, amount: number): void {
    this.values[slot] = (this.values[slot] as number) + amount;
  }

  set(slot: number, value: number): void {
    this.values[slot] = value;
  }

  observe(slot: number, value: number): void {
    let bucket = 0;
    while (bucket < HISTOGRAM_BOUNDS.length && value > (HISTOGRAM_BOUNDS[bucket] as number)) bucket++;
    this.add(slot + bucket, 1);
    this.add(slot + HISTOGRAM_BOUNDS.length + 1, value);
  }

  takeFresh(): readonly SeriesDefinition[] {
    const fresh = this.#fresh;
    this.#fresh = [];
    return fresh;
  }

  #define(
    name: string,
    kind: SeriesDefinition["kind"],
    labels: Readonly<Record<string, string>>,
    length: number,
  ): number {
    const key = `${name}\n${Object.entries(labels).flat().join("\n")}`;
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    // Room for the overflow series of every metric is kept back.
    const reserve = 64 * (HISTOGRAM_BOUNDS.length + 2);
    if (this.#used + length + reserve > this.values.length) return this.#overflowSlot(name, kind, length);
    const slot = this.#take(name, kind, labels, length);
    this.#known.set(key, slot);
    return slot;
  }

  #overflowSlot(name: string, kind: SeriesDefinition["kind"], length: number): number {
    const known = this.#overflow.get(name);
    if (known !== undefined) return known;
    const slot = this.#take(name, kind, { overflow: "__overflow__" }, length);
    this.#overflow.set(name, slot);
    return slot;
  }

  #take(
    name: string,
    kind: SeriesDefinition["kind"],
    labels: Readonly<Record<string, string>>,
    length: number,
  ): number {
    const slot = this.#used;
    if (slot + length > this.values.length) return Math.max(0, this.values.length - length);
    this.#used += length;
    const bounds = kind === "histogram" ? { bounds: HISTOGRAM_BOUNDS } : {};
    this.#fresh.push({ slot, length, name, kind, labels, ...bounds });
    if (this.#fresh.length === 1) this.#onFresh();
    return slot;
  }
}
