import { pathToFileURL } from "node:url";
import { Argument, type Command } from "commander";
import { appProgram, servedApps } from "../apps.ts";
import type { Cli } from "../cli.ts";
import { command } from "../command.ts";
import { TookOver } from "../took-over.ts";

/** `lateen serve APP [flags]`: an app of the package in this process. */
export function serveCommand(_cli: Cli): Command {
  const list = Object.entries(servedApps).map(([name, what]) => `  ${name.padEnd(18)}${what}`);
  return command("serve", "run one app in the foreground; SIGTERM drains and ends it", [
    "lateen serve control-plane --state-dir /var/lib/lateen --config mesh.yaml",
    "lateen serve sidecar --help",
  ])
    .addArgument(new Argument("<app>", "which app; what follows are its own options"))
    .argument("[flags...]", "options of the app; `--help` lists them, `--print-config` shows the result")
    .allowUnknownOption()
    .passThroughOptions()
    .addHelpText("after", `\nApps:\n${list.join("\n")}`)
    .action(async (app: string, flags: readonly string[]) => {
      const program = appProgram(app);
      process.argv = [process.argv[0] ?? "node", program, ...flags];
      await import(pathToFileURL(program).href);
      throw new TookOver();
    });
}
