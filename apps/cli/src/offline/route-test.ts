import { explainCall, parseCall, simulateCall, verdictLine } from "@lateen/simulate";
import type { Cli } from "../cli.ts";
import type { RouteTestOptions } from "../commands/route.ts";
import { usageError } from "../errors.ts";
import { Exit, exitCodes } from "../exit.ts";
import { type OutputFormat, printResult } from "../output/format.ts";
import { openWorld, workloadNamed } from "./mesh-objects.ts";

/**
 * Prints what becomes of a request.
 * @throws LTN7501 for a request that is none, LTN7504 for an unknown workload.
 */
export async function testRoute(cli: Cli, options: RouteTestOptions, format: OutputFormat): Promise<void> {
  const call = parseCall(options.request, options.header);
  if (!call.ok) throw usageError(call.error);
  const world = await openWorld(cli, options);
  const trace = simulateCall(world.simulated, workloadNamed(world, options.from), call.value);
  const value = { verdict: verdictLine(trace), ...trace };
  await printResult(cli, format, value, () => `${explainCall(trace)}\n${value.verdict}\n`);
  if (world.invalid) throw new Exit(exitCodes.badInput);
}
