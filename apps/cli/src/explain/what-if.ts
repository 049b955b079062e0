import { type CallTrace, explainCall, parseCall, simulateCall, type Trace, verdictLine } from "@lateen/simulate";
import type { Cli } from "../cli.ts";
import type { ExplainOptions } from "../commands/explain.ts";
import { usageError } from "../errors.ts";
import { Exit, exitCodes } from "../exit.ts";
import { openWorld, workloadNamed } from "../offline/mesh-objects.ts";
import { type OutputFormat, printResult } from "../output/format.ts";
import { placesOf } from "./places.ts";

/**
 * Tells what would become of a request, and where the objects are written that decide it. Nothing is sent.
 * @throws LTN7501 for a request that is none, LTN7504 for an unknown workload.
 */
export async function explainFrom(
  cli: Cli,
  options: ExplainOptions & { readonly from: string; readonly request: string },
  format: OutputFormat,
): Promise<void> {
  const call = parseCall(options.request, options.header);
  if (!call.ok) throw usageError(call.error);
  const world = await openWorld(cli, options);
  const trace = simulateCall(world.simulated, workloadNamed(world, options.from), call.value);
  const places = await placesOf(cli, objectsOf(trace), world.origins);
  const objects = [...new Set(objectsOf(trace))].map((object) => ({ object, place: places.get(object) ?? null }));
  const value = { verdict: verdictLine(trace), objects, ...trace };
  await printResult(cli, format, value, () => {
    const lines = objects.map(({ object, place }) => `  ${object}${place === null ? "" : `, ${place}`}\n`);
    return `${explainCall(trace)}\n${value.verdict}\n${lines.length === 0 ? "" : `because of\n${lines.join("")}`}`;
  });
  if (world.invalid) throw new Exit(exitCodes.badInput);
}

/** The objects that a call meets, in the order in which it meets them. */
function objectsOf({ client, servers }: CallTrace): readonly string[] {
  const traces = [client, ...servers.flatMap(({ trace }) => (trace === undefined ? [] : [trace]))];
  return traces.flatMap((trace) => objectsOfTrace(trace)).filter((object) => object !== undefined);
}

function objectsOfTrace({ policies, route, outcome }: Trace): readonly (string | undefined)[] {
  const destinations = outcome.kind === "forward" ? outcome.destinations : [];
  return [...policies.map(({ object }) => object), route?.object, ...destinations.map(({ object }) => object)];
}
