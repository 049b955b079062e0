/** How one option is written and read. Its flag is the kebab-case of its key, its variable `LATEEN_` + UPPER_SNAKE. */
export type FlagSpec =
  | (FlagCommon & {
      readonly kind: "string";
      readonly default?: string;
      readonly secret?: boolean;
      readonly pattern?: RegExp;
    })
  | (FlagCommon & { readonly kind: "number"; readonly default?: number; readonly min?: number; readonly max?: number })
  | (FlagCommon & { readonly kind: "boolean"; readonly default?: boolean })
  /** `24h`, `1m30s`; the value is milliseconds. */
  | (FlagCommon & { readonly kind: "duration"; readonly default?: string })
  /** May be repeated; in a variable separated by commas. */
  | (FlagCommon & { readonly kind: "list"; readonly default?: readonly string[] })
  | (FlagCommon & { readonly kind: "choice"; readonly choices: readonly string[]; readonly default?: string });

interface FlagCommon {
  /** One line for --help. */
  readonly describe: string;
  /** Refuse to start without it. */
  readonly required?: boolean;
  /** Further environment variables that set it, asked in order after the `LATEEN_` one (names other tools inject). */
  readonly env?: readonly string[];
}

export type FlagSpecs = Readonly<Record<string, FlagSpec>>;

type ValueOf<F extends FlagSpec> = F extends { readonly kind: "number" | "duration" }
  ? number
  : F extends { readonly kind: "boolean" }
    ? boolean
    : F extends { readonly kind: "list" }
      ? readonly string[]
      : F extends { readonly kind: "choice"; readonly choices: readonly (infer C)[] }
        ? C
        : string;

/** Options that always have a value: a default, `required`, and lists and booleans (empty and false). */
type AlwaysSet<F extends FlagSpec> = F extends { readonly kind: "boolean" | "list" }
  ? true
  : F extends { readonly required: true }
    ? true
    : F extends { readonly default: string | number }
      ? true
      : false;

/** The values that {@link readConfig} gives for a set of options. */
export type FlagValues<S extends FlagSpecs> = {
  readonly [K in keyof S]: AlwaysSet<S[K]> extends true ? ValueOf<S[K]> : ValueOf<S[K]> | undefined;
};

export interface Flags<S extends FlagSpecs> {
  readonly program: string;
  readonly specs: S;
}

/** Declares a program's options; keys are camelCase. */
export function defineFlags<const S extends FlagSpecs>(program: string, specs: S): Flags<S> {
  return { program, specs };
}

/** `stateDir` → `--state-dir`. */
export function flagName(key: string): string {
  return `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** `stateDir` → `LATEEN_STATE_DIR`. */
export function variableName(key: string): string {
  return `LATEEN_${key.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;
}

/** The text of --help. */
export function helpText(flags: Flags<FlagSpecs>): string {
  const rows = Object.entries(flags.specs).map(([key, spec]) => {
    const value =
      spec.kind === "choice" ? spec.choices.join("|") : spec.kind === "boolean" ? "" : spec.kind.toUpperCase();
    const notes = spec.required
      ? " (required)"
      : spec.default === undefined
        ? ""
        : ` (default ${String(spec.default)})`;
    return [`  ${flagName(key)} ${value}`.trimEnd(), `${spec.describe}${notes}`] as const;
  });
  rows.push(["  --print-config", "print the effective configuration with the source of each value, and end"]);
  const width = Math.max(...rows.map(([left]) => left.length)) + 2;
  return `usage: ${flags.program} [options]\n${rows.map(([left, right]) => `${left.padEnd(width)}${right}`).join("\n")}\n`;
}
