import { err, ok, type Result } from "@lateen/kernel";

/** What the machine has; a container without limits may use all of it. */
export interface Machine {
  readonly cpus: number;
  readonly memoryBytes: number;
}

const SUFFIXES: ReadonlyMap<string, number> = new Map([
  ["n", 1e-9],
  ["u", 1e-6],
  ["m", 1e-3],
  ["", 1],
  ["k", 1e3],
  ["M", 1e6],
  ["G", 1e9],
  ["T", 1e12],
  ["P", 1e15],
  ["E", 1e18],
  ["Ki", 2 ** 10],
  ["Mi", 2 ** 20],
  ["Gi", 2 ** 30],
  ["Ti", 2 ** 40],
  ["Pi", 2 ** 50],
  ["Ei", 2 ** 60],
]);

/**
 * The text of a `resourceFieldRef`, as Kubernetes makes it: the container's limit or request in units of the divisor, rounded up.
 * Without a limit it is what the machine has, without a request the limit, else 0. Limits are told, not enforced.
 */
export function resourceValue(reference: unknown, resources: unknown, machine: Machine): Result<string, string> {
  const { resource, divisor = "1" } = fields(reference);
  const match = /^(limits|requests)\.(cpu|memory|ephemeral-storage)$/.exec(String(resource));
  if (match === null) return err(`unknown resource "${String(resource)}"`);
  const [, kind = "", name = ""] = match;
  const { limits, requests } = fields(resources);
  const limit = quantity(fields(limits)[name] ?? 0);
  const wanted = kind === "limits" ? limit : (quantity(fields(requests)[name] ?? 0) ?? limit) || limit;
  // A divisor of 0 is one that was not given.
  const unit = quantity(divisor) || 1;
  if (wanted === undefined) return err(`the container's ${kind}.${name} is not a quantity`);
  const capacity = name === "cpu" ? machine.cpus : name === "memory" ? machine.memoryBytes : 0;
  const value = wanted === 0 && kind === "limits" ? capacity : wanted;
  return ok(String(Math.ceil(Number((value / unit).toPrecision(12)))));
}

/** A Kubernetes quantity such as `500m`, `2`, `128Mi` or `1e3`; undefined when it is none. */
function quantity(value: unknown): number | undefined {
  const match = /^([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE]([+-]?[0-9]{1,2})|([numkMGTPE]|[KMGTPE]i)?)$/.exec(
    String(value),
  );
  if (match === null) return undefined;
  const [, digits = "", exponent, suffix = ""] = match;
  return Number(digits) * (exponent === undefined ? (SUFFIXES.get(suffix) ?? 1) : 10 ** Number(exponent));
}

function fields(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}
