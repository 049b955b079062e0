import { processCli } from "./cli.ts";
import { runCli } from "./program.ts";

// Readers such as `head` may have enough before everything is written.
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));

const code = await runCli(process.argv.slice(2), processCli());
if (code !== undefined) {
  // What was written to a pipe has to be out before the process ends.
  await new Promise<void>((done) => process.stdout.write("", () => done()));
  await new Promise<void>((done) => process.stderr.write("", () => done()));
  process.exit(code);
}
