import { Argument, type Command } from "commander";
import type { Cli } from "../cli.ts";
import { command } from "../command.ts";
import { Exit } from "../exit.ts";

/** `lateen capture`: the rules that carry a pod's traffic to its proxy, as an init container puts them in force. */
export function captureCommand(cli: Cli): Command {
  return command("capture", "redirect this network namespace's traffic to a proxy, or stop doing so (Linux, root)", [
    "lateen capture apply -p 15001 -z 15006 -u 1337 -i '*' -b '*' -d 15090,15021,15020",
    "lateen capture apply -o 25 --dry-run      show the rules only",
    "lateen capture clear",
  ])
    .addArgument(new Argument("<verb>", "what to do").choices(["apply", "clear"]))
    .argument("[flags...]", "as istio-iptables takes them")
    .allowUnknownOption()
    .passThroughOptions()
    .action(async (verb: "apply" | "clear", flags: readonly string[]) => {
      const { runCapture } = await import("@lateen/capture");
      const code = await runCapture(verb, flags, cli);
      if (code !== 0) throw new Exit(code);
    });
}
