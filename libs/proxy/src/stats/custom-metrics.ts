import { type CelProgram, compileFor, textOf } from "@lateen/cel";
import { LOG_ATTRIBUTES } from "../access-log/attributes.ts";
import type { ConnectionLogFacts } from "../access-log/facts.ts";
import type { MetricsSpec } from "../config/plan.ts";

/** Distinct combinations of values that added labels may have in one worker; further ones are told as {@link OVERFLOW}. */
const MAX_COMBINATIONS = 500;
/** Longest value of an added label, in characters. */
const MAX_VALUE = 256;
const OVERFLOW = "__overflow__";
const UNKNOWN = "unknown";

type Labels = Readonly<Record<string, string>>;
type Program = CelProgram<ConnectionLogFacts>;

/** How one metric differs: labels it has not, and labels whose values stand at a place of the added values. */
interface Change {
  drop: boolean;
  readonly removed: Set<string>;
  readonly added: Map<string, number>;
}

/**
 * The standard metrics as a `MetricsSpec` changes them: which are left out, and which labels each has. Values of added labels are
 * evaluated once for a request or connection and used for all its metrics.
 */
export class CustomMetrics {
  readonly #changes = new Map<string, Change>();
  readonly #programs: Program[] = [];
  readonly #combinations = new Set<string>();

  /** @param metrics names without `istio_` that `labels` will be asked for. @throws CelProblem */
  constructor(spec: MetricsSpec, metrics: readonly string[]) {
    const known = new Map<string, number>();
    for (const name of metrics) this.#changes.set(name, { drop: false, removed: new Set(), added: new Map() });
    for (const { metric, tags, removedTags, drop } of spec.changes ?? []) {
      for (const name of metric === "" ? metrics : [metric]) {
        const change = this.#changes.get(name);
        if (change === undefined) continue;
        change.drop = drop;
        for (const tag of removedTags) {
          change.removed.add(tag);
          change.added.delete(tag);
        }
        for (const [tag, expression] of Object.entries(tags)) {
          const place =
            known.get(expression) ?? this.#programs.push(compileFor("label", expression, LOG_ATTRIBUTES)) - 1;
          known.set(expression, place);
          change.removed.delete(tag);
          change.added.set(tag, place);
        }
      }
    }
  }

  dropped(metric: string): boolean {
    return this.#changes.get(metric)?.drop ?? false;
  }

  /** Values of the added labels; what has none is `unknown`. Bounded in number and length. */
  values(facts: ConnectionLogFacts): readonly string[] {
    if (this.#programs.length === 0) return NONE;
    const values = this.#programs.map(({ evaluate }) => (textOf(evaluate(facts)) || UNKNOWN).slice(0, MAX_VALUE));
    const key = values.join("\0");
    if (this.#combinations.has(key)) return values;
    if (this.#combinations.size >= MAX_COMBINATIONS) return values.map(() => OVERFLOW);
    this.#combinations.add(key);
    return values;
  }

  /** Labels of a metric. @param values what {@link values} answered. */
  labels(metric: string, standard: Labels, values: readonly string[]): Labels {
    const change = this.#changes.get(metric);
    if (change === undefined) return standard;
    const labels: Record<string, string> = { ...standard };
    for (const tag of change.removed) delete labels[tag];
    for (const [tag, place] of change.added) labels[tag] = values[place] ?? UNKNOWN;
    return labels;
  }
}

const NONE: readonly string[] = [];
