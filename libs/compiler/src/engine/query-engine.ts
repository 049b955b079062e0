/**
 * An incremental query engine with no domain words. Inputs are named cells; a query is a pure function of what it reads.
 * A result remembers its reads, so a change of inputs touches only the results that read them, directly or through others,
 * and a recomputed result that equals the old one stops there (early cut-off).
 *
 * States of a memo: `clean` → (a read changed) → `dirty` → (asked) → `clean`; `clean` → (something below may have changed) →
 * `check` → (asked: every read is brought up to date; none changed) → `clean`, else `dirty`.
 */
export interface Read {
  /** The value of an input cell; undefined when it was never set. */
  input(cell: string): unknown;
  /** The answer of another query. */
  ask<A, V>(query: Query<A, V>, argument: A): V;
}

export interface Query<A, V> {
  readonly name: string;
  /** Equal arguments must give equal keys. */
  readonly key: (argument: A) => string;
  readonly compute: (read: Read, argument: A) => V;
  /** Whether a recomputed value means the same as the old one; the old one is then kept. Default: identity. */
  readonly equal: (before: V, after: V) => boolean;
}

/** Describes a query. `key` defaults to the argument itself for strings and to canonical JSON otherwise. */
export function defineQuery<A, V>(options: {
  readonly name: string;
  readonly compute: (read: Read, argument: A) => V;
  readonly key?: (argument: A) => string;
  readonly equal?: (before: V, after: V) => boolean;
}): Query<A, V> {
  return {
    name: options.name,
    key: options.key ?? ((argument) => (typeof argument === "string" ? argument : JSON.stringify(argument))),
    compute: options.compute,
    equal: options.equal ?? Object.is,
  };
}

/** How much work was done, for tests, metrics and the scale benchmark. */
export interface EngineStats {
  /** Times a query function ran, by query name. */
  readonly computed: Readonly<Record<string, number>>;
  /** Recomputations whose result equalled the old one. */
  readonly cutOff: number;
  /** Results held. */
  readonly memos: number;
  /** Reads of queries, and earlier reads that were gone through to find out whether one of them changed. */
  readonly looked: number;
}

type State = "clean" | "check" | "dirty";

interface Cell {
  value: unknown;
  changedAt: number;
  dependents: Set<Memo> | undefined;
}

interface Memo {
  readonly query: Query<never, unknown>;
  readonly argument: unknown;
  readonly key: string;
  state: State;
  computing: boolean;
  value: unknown;
  changedAt: number;
  usedAt: number;
  /** Each once. */
  reads: readonly (Cell | Memo)[];
  /** Made when there is one: most results of a large world have few readers or none. */
  dependents: Set<Memo> | undefined;
  /** Of a memo that is `check`: the reads that are not `clean`, and perhaps some that became so again. */
  stale: Set<Memo> | undefined;
}

const NO_READS: readonly (Cell | Memo)[] = [];

/**
 * Invariants: a `clean` memo's value equals what its query would compute now; its reads are `clean`. Of a `check` memo those reads that
 * are not are in `stale`, so finding out whether it still holds costs by what changed and not by all it read.
 */
export class QueryEngine {
  #revision = 0;
  readonly #cells = new Map<string, Cell>();
  readonly #memos = new Map<unknown, Map<string, Memo>>();
  readonly #computed = new Map<string, number>();
  #cutOff = 0;
  #looked = 0;

  /** Grows with every {@link set} that changed something. */
  get revision(): number {
    return this.#revision;
  }

  stats(): EngineStats {
    return {
      computed: Object.fromEntries(this.#computed),
      cutOff: this.#cutOff,
      memos: this.size,
      looked: this.#looked,
    };
  }

  /** Results held. */
  get size(): number {
    let memos = 0;
    for (const ofQuery of this.#memos.values()) memos += ofQuery.size;
    return memos;
  }

  resetStats(): void {
    this.#computed.clear();
    this.#cutOff = 0;
    this.#looked = 0;
  }

  /** Sets input cells as one step; undefined clears. Values that are identical to the old ones change nothing. */
  set(changes: Iterable<readonly [cell: string, value: unknown]>): void {
    const next = this.#revision + 1;
    for (const [name, value] of changes) {
      const cell = this.#cell(name);
      if (Object.is(cell.value, value)) continue;
      this.#revision = next;
      cell.value = value;
      cell.changedAt = next;
      for (const dependent of cell.dependents ?? []) this.#invalidate(dependent, "dirty");
      if (value === undefined && !hasDependents(cell)) this.#cells.delete(name);
    }
  }

  /** The current value of an input, not tracked. */
  peek(cell: string): unknown {
    return this.#cells.get(cell)?.value;
  }

  ask<A, V>(query: Query<A, V>, argument: A): V {
    return this.#update(this.#memo(query, argument)).value as V;
  }

  /** The revision at which the answer last became different; asks the query. */
  changedAt<A, V>(query: Query<A, V>, argument: A): number {
    return this.#update(this.#memo(query, argument)).changedAt;
  }

  /** A new revision in which nothing changed: what is asked for from now on is told from what was asked for before. */
  advance(): void {
    this.#revision++;
  }

  /** Forgets results that nobody has asked for since `revision`; results that others read are kept. */
  forget(revision: number): void {
    const unused = (memo: Memo) => memo.usedAt < revision && !hasDependents(memo);
    const stack: Memo[] = [];
    for (const ofQuery of this.#memos.values()) {
      for (const memo of ofQuery.values()) if (unused(memo)) stack.push(memo);
    }
    for (let memo = stack.pop(); memo !== undefined; memo = stack.pop()) {
      this.#memos.get(memo.query)?.delete(memo.key);
      for (const read of memo.reads) {
        read.dependents?.delete(memo);
        if ("query" in read && unused(read)) stack.push(read);
      }
    }
  }

  #cell(name: string): Cell {
    let cell = this.#cells.get(name);
    if (cell === undefined) {
      cell = { value: undefined, changedAt: 0, dependents: undefined };
      this.#cells.set(name, cell);
    }
    return cell;
  }

  #memo<A, V>(query: Query<A, V>, argument: A): Memo {
    const key = query.key(argument);
    let ofQuery = this.#memos.get(query);
    if (ofQuery === undefined) {
      ofQuery = new Map();
      this.#memos.set(query, ofQuery);
    }
    let memo = ofQuery.get(key);
    if (memo === undefined) {
      memo = {
        query: query as unknown as Query<never, unknown>,
        argument,
        key,
        state: "dirty",
        computing: false,
        value: undefined,
        changedAt: 0,
        usedAt: this.#revision,
        reads: NO_READS,
        dependents: undefined,
        stale: undefined,
      };
      ofQuery.set(key, memo);
    }
    return memo;
  }

  #invalidate(start: Memo, state: State): void {
    const stack: [Memo, State][] = [[start, state]];
    for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
      const [memo, wanted] = next;
      const before = memo.state;
      if (before === "dirty" || before === wanted) continue;
      memo.state = wanted;
      if (wanted === "dirty") memo.stale = undefined;
      // Who reads a memo that already was `check` has been told.
      if (before !== "clean") continue;
      for (const dependent of memo.dependents ?? []) {
        if (dependent.state === "dirty") continue;
        dependent.stale ??= new Set();
        dependent.stale.add(memo);
        if (dependent.state === "clean") stack.push([dependent, "check"]);
      }
    }
  }

  #update(memo: Memo): Memo {
    memo.usedAt = this.#revision;
    if (memo.state === "clean") return memo;
    if (memo.computing) throw new Error(`query ${memo.query.name} ${memo.key} reads itself`);
    if (memo.state === "check" && this.#holds(memo)) {
      memo.state = "clean";
      return memo;
    }
    this.#compute(memo);
    return memo;
  }

  /** Whether none of a memo's reads changed. */
  #holds(memo: Memo): boolean {
    const { stale } = memo;
    memo.stale = undefined;
    for (const read of stale ?? []) {
      this.#looked++;
      try {
        this.#update(read);
      } catch {
        // Perhaps it is not even read any more; if it is, computing says so.
        memo.state = "dirty";
      }
      // A read that changed has marked this memo dirty.
      if (this.#isDirty(memo)) return false;
    }
    return true;
  }

  #isDirty(memo: Memo): boolean {
    return memo.state === "dirty";
  }

  #compute(memo: Memo): void {
    const first = memo.changedAt === 0;
    const reads = new Set<Cell | Memo>();
    memo.computing = true;
    memo.stale = undefined;
    let value: unknown;
    try {
      value = memo.query.compute(this.#reader(reads), memo.argument as never);
    } finally {
      memo.computing = false;
    }
    for (const old of memo.reads) if (!reads.has(old)) old.dependents?.delete(memo);
    for (const read of reads) {
      read.dependents ??= new Set();
      read.dependents.add(memo);
    }
    memo.reads = [...reads];
    memo.state = "clean";
    this.#computed.set(memo.query.name, (this.#computed.get(memo.query.name) ?? 0) + 1);
    if (!first && (memo.query.equal as (a: unknown, b: unknown) => boolean)(memo.value, value)) {
      this.#cutOff++;
      return;
    }
    memo.value = value;
    memo.changedAt = Math.max(1, this.#revision);
    for (const dependent of memo.dependents ?? []) {
      if (dependent.state !== "check") continue;
      dependent.state = "dirty";
      dependent.stale = undefined;
    }
  }

  #reader(reads: Set<Cell | Memo>): Read {
    return {
      input: (name) => {
        this.#looked++;
        const cell = this.#cell(name);
        reads.add(cell);
        return cell.value;
      },
      ask: (query, argument) => {
        this.#looked++;
        const memo = this.#update(this.#memo(query, argument));
        reads.add(memo);
        return memo.value as never;
      },
    };
  }
}

function hasDependents(node: { readonly dependents: ReadonlySet<Memo> | undefined }): boolean {
  return node.dependents !== undefined && node.dependents.size > 0;
}
