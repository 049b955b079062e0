import { err, nearestName, ok, parseDuration, type Result } from "@lateen/kernel";
import { type FlagSpec, type FlagSpecs, type Flags, type FlagValues, flagName, variableName } from "./flags.ts";

/** Where a value came from: `flag`, the variable's name, or `default`. */
export type ConfigSource = string;

export interface ReadConfig<S extends FlagSpecs> {
  readonly values: FlagValues<S>;
  readonly sources: Readonly<Record<string, ConfigSource>>;
  /** `--print-config` was given. */
  readonly printConfig: boolean;
  /** `--help` was given. Problems such as missing required options are then not reported. */
  readonly help: boolean;
  /** Arguments that are no options, in order. */
  readonly positionals: readonly string[];
}

type Raw = string | number | boolean | readonly string[];
type Given = ReadonlyMap<string, readonly string[]>;

/**
 * Reads options: flag before variable before default. Unknown options are refused with the nearest name; all problems are
 * reported at once.
 * @param argv arguments after the program's name.
 */
export function readConfig<S extends FlagSpecs>(
  flags: Flags<S>,
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Result<ReadConfig<S>, readonly string[]> {
  const scanned = scan(flags.specs, argv);
  const problems = [...scanned.problems];
  const values: Record<string, Raw> = {};
  const sources: Record<string, ConfigSource> = {};
  for (const [key, spec] of Object.entries(flags.specs)) {
    const found = lookUp(key, spec, scanned.given, env);
    if (found === undefined) {
      const fallback = defaultOf(spec);
      if (fallback !== undefined) values[key] = fallback;
      else if (spec.required && !scanned.help) problems.push(`${flagName(key)} is required`);
      sources[key] = "default";
      continue;
    }
    const parsed = parseValue(spec, found.texts);
    sources[key] = found.source;
    if (parsed.ok) values[key] = parsed.value;
    else problems.push(`${found.source === "flag" ? flagName(key) : found.source}: ${parsed.error}`);
  }
  if (problems.length > 0) return err(problems);
  const { printConfig, help, positionals } = scanned;
  return ok({ values: values as unknown as FlagValues<S>, sources, printConfig, help, positionals });
}

/** The effective configuration, one `name = value  (source)` a line; secrets are hidden. */
export function formatConfig<S extends FlagSpecs>(flags: Flags<S>, config: ReadConfig<S>): string {
  const values = config.values as Readonly<Record<string, Raw | undefined>>;
  const lines = Object.entries(flags.specs).map(([key, spec]) => {
    const hidden = spec.kind === "string" && spec.secret === true && values[key] !== undefined;
    const shown = hidden ? "[redacted]" : values[key] === undefined ? "(unset)" : JSON.stringify(values[key]);
    return `${flagName(key).slice(2)} = ${shown}  (${config.sources[key] ?? "default"})`;
  });
  return `${lines.join("\n")}\n`;
}

interface Scanned {
  readonly given: Given;
  readonly positionals: readonly string[];
  readonly problems: readonly string[];
  readonly printConfig: boolean;
  readonly help: boolean;
}

function scan(specs: FlagSpecs, argv: readonly string[]): Scanned {
  const byFlag = new Map(Object.entries(specs).map(([key, spec]) => [flagName(key), { key, spec }] as const));
  const given = new Map<string, string[]>();
  const positionals: string[] = [];
  const problems: string[] = [];
  let printConfig = false;
  let help = false;
  for (let i = 0; i < argv.length; i++) {
    const argument = argv[i] ?? "";
    if (argument === "--") {
      positionals.push(...argv.slice(i + 1));
      break;
    }
    if (!argument.startsWith("--")) {
      if (argument === "-h") help = true;
      else positionals.push(argument);
      continue;
    }
    const equals = argument.indexOf("=");
    const name = equals < 0 ? argument : argument.slice(0, equals);
    if (name === "--print-config") printConfig = true;
    else if (name === "--help") help = true;
    else {
      const known = byFlag.get(name);
      if (known === undefined) problems.push(unknownFlag(name, byFlag.keys()));
      else {
        const value = equals >= 0 ? argument.slice(equals + 1) : known.spec.kind === "boolean" ? "true" : argv[++i];
        if (value === undefined) problems.push(`${name} needs a value`);
        else given.set(known.key, [...(given.get(known.key) ?? []), value]);
      }
    }
  }
  return { given, positionals, problems, printConfig, help };
}

function unknownFlag(name: string, known: Iterable<string>): string {
  const nearest = nearestName(name, [...known, "--print-config", "--help"]);
  return `unknown option ${name}${nearest === undefined ? "" : `, did you mean ${nearest}?`}`;
}

function lookUp(key: string, spec: FlagSpec, given: Given, env: Readonly<Record<string, string | undefined>>) {
  const flag = given.get(key);
  if (flag !== undefined) return { texts: flag, source: "flag" };
  for (const variable of [variableName(key), ...(spec.env ?? [])]) {
    const text = env[variable];
    if (text !== undefined && text !== "") {
      return { texts: spec.kind === "list" ? text.split(",").filter((part) => part !== "") : [text], source: variable };
    }
  }
  return undefined;
}

function defaultOf(spec: FlagSpec): Raw | undefined {
  switch (spec.kind) {
    case "boolean":
      return spec.default ?? false;
    case "list":
      return spec.default ?? [];
    case "duration": {
      if (spec.default === undefined) return undefined;
      const parsed = parseDuration(spec.default);
      return parsed.ok ? parsed.value : undefined;
    }
    case "string":
    case "number":
    case "choice":
      return spec.default;
  }
}

function parseValue(spec: FlagSpec, texts: readonly string[]): Result<Raw, string> {
  const text = texts.at(-1) ?? "";
  switch (spec.kind) {
    case "string":
      return spec.pattern === undefined || spec.pattern.test(text) ? ok(text) : err(`"${text}" is not possible`);
    case "list":
      return ok(texts);
    case "boolean":
      if (/^(true|1|yes|on)$/i.test(text)) return ok(true);
      return /^(false|0|no|off)$/i.test(text) ? ok(false) : err(`"${text}" is neither true nor false`);
    case "number":
      return parseNumber(spec, text);
    case "duration":
      return parseDuration(text);
    case "choice":
      return spec.choices.includes(text) ? ok(text) : err(`"${text}" is none of ${spec.choices.join(", ")}`);
  }
}

function parseNumber(spec: Extract<FlagSpec, { kind: "number" }>, text: string): Result<number, string> {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value)) return err(`"${text}" is not a number`);
  if (spec.min !== undefined && value < spec.min) return err(`${value} is less than ${spec.min}`);
  if (spec.max !== undefined && value > spec.max) return err(`${value} is more than ${spec.max}`);
  return ok(value);
}
