/** Values of a metric's labels; a missing one counts as empty. */
export type LabelValues = Readonly<Record<string, string>>;

/** What every label of the series says that takes what does not fit. */
export const OVERFLOW = "__overflow__";

/**
 * The series of one metric, at most `limit` of them. Further label values share one series, all of whose labels are
 * {@link OVERFLOW}: single values are lost then, totals stay exact.
 */
export class SeriesTable<S> {
  readonly labelNames: readonly string[];
  readonly #limit: number;
  readonly #make: () => S;
  readonly #series = new Map<string, { readonly values: readonly string[]; readonly state: S }>();
  #overflow: S | undefined;
  /** Updates that went to the shared series. */
  overflowed = 0;

  constructor(labelNames: readonly string[], limit: number, make: () => S) {
    this.labelNames = labelNames;
    this.#limit = limit;
    this.#make = make;
  }

  get size(): number {
    return this.#series.size;
  }

  of(labels: LabelValues): S {
    const values = this.labelNames.map((name) => labels[name] ?? "");
    const key = values.join("\u0000");
    const known = this.#series.get(key);
    if (known) return known.state;
    if (this.#series.size >= this.#limit) {
      this.overflowed++;
      this.#overflow ??= this.#make();
      return this.#overflow;
    }
    const state = this.#make();
    this.#series.set(key, { values, state });
    return state;
  }

  /** Forgets one series, for things that are gone for good. */
  remove(labels: LabelValues): void {
    this.#series.delete(this.labelNames.map((name) => labels[name] ?? "").join("\u0000"));
  }

  *entries(): Iterable<readonly [values: readonly string[], state: S]> {
    for (const { values, state } of this.#series.values()) yield [values, state];
    if (this.#overflow !== undefined) yield [this.labelNames.map(() => OVERFLOW), this.#overflow];
  }
}
