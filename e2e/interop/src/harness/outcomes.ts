import { expect } from "vitest";

/** What can become of a request, as texts: weights and endpoints make it several things. */
type Outcomes = Set<string>;

/** How often a request is repeated for an outcome that only the other proxy has shown: rules may draw one in 200. */
const REPEATS = 2_000;
/** After so many the rest are asked side by side: what is that rare depends on nothing that came before. */
const FIRST_REPEATS = 50;
const SIDE_BY_SIDE = 25;
/** What takes longer is no answer, but that nobody gave one. */
const SILENCE_MS = 10_000;
/** And for how long that is done in all, in milliseconds. */
const LIMIT_MS = process.env.LATEEN_TEST_FULL === "1" ? 500_000 : 30_000;

/** Without values that the proxies draw (cookies they give to clients), and without how often another endpoint was tried before. */
const textOf = (outcome: object) =>
  JSON.stringify(outcome)
    .replaceAll(/=\\"[0-9a-f]{16}\\"/g, '=\\"some value\\"')
    .replaceAll(/"x-envoy-attempt-count":"([2-9])"/g, '"x-envoy-attempt-count":"1"');

/** Asks once by way of each proxy, and says what happened. */
export type Try<Flavor extends string> = (flavor: Flavor) => Promise<object>;

/** Requests of a case with what became of them by way of each of two proxies. */
export class Comparison<Flavor extends string> {
  readonly #flavors: readonly [Flavor, Flavor];
  readonly #seen = new Map<
    string,
    { readonly outcomes: Readonly<Record<Flavor, Outcomes>>; readonly again: Try<Flavor> }
  >();
  /** What was waited for in vain is not asked again by chance. */
  readonly #silent = new Set<string>();

  constructor(flavors: readonly [Flavor, Flavor]) {
    this.#flavors = flavors;
  }

  /** @param key tells equal requests. */
  async ask(key: string, again: Try<Flavor>): Promise<void> {
    if (this.#silent.has(key)) return;
    const known = this.#seen.get(key) ?? { again, outcomes: this.#none() };
    this.#seen.set(key, known);
    const start = performance.now();
    await Promise.all(this.#flavors.map(async (flavor) => known.outcomes[flavor].add(textOf(await again(flavor)))));
    if (performance.now() - start > SILENCE_MS) this.#silent.add(key);
  }

  #none(): Readonly<Record<Flavor, Outcomes>> {
    return Object.fromEntries(this.#flavors.map((flavor) => [flavor, new Set()])) as unknown as Record<
      Flavor,
      Outcomes
    >;
  }

  /** Every request may become the same things by way of both. */
  async conclude(): Promise<void> {
    const [first, second] = this.#flavors;
    const differences: object[] = [];
    const until = performance.now() + LIMIT_MS;
    for (const [key, { outcomes, again }] of this.#seen) {
      const lacks = (of: Flavor, other: Flavor) => [...outcomes[other]].some((one) => !outcomes[of].has(one));
      for (let asked = 0; asked < REPEATS && performance.now() < until; ) {
        // Either may come to something new meanwhile.
        const of = lacks(first, second) ? first : lacks(second, first) ? second : undefined;
        if (of === undefined) break;
        const count = asked < FIRST_REPEATS ? 1 : SIDE_BY_SIDE;
        const more = await Promise.all(Array.from({ length: count }, () => again(of)));
        for (const outcome of more) outcomes[of].add(textOf(outcome));
        asked += count;
      }
      const told = this.#flavors.map((of) => [...outcomes[of]].sort().map((one) => JSON.parse(one) as object));
      if (JSON.stringify(told[0]) !== JSON.stringify(told[1])) {
        differences.push({ ask: JSON.parse(key), [first]: told[0], [second]: told[1] });
        if (differences.length >= 5) break;
      }
    }
    expect(differences).toEqual([]);
  }
}
