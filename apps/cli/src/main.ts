import { processCli } from "./cli.ts";
import { runCli } from "./program.ts";

const code = await runCli(process.argv.slice(2), processCli());
if (code !== undefined) {
  // What was written to a pipe has to be out before the process ends.
  await new Promise<void>((done) => process.stdout.write("", () => done()));
  await new Promise<void>((done) => process.stderr.write("", () => done()));
  process.exit(code);
}
