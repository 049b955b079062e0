import { Argument, type Command } from "commander";
import type { Cli } from "../cli.ts";
import { command } from "../command.ts";
import { bashCompletion, fishCompletion, type Word, zshCompletion } from "../output/completion-scripts.ts";

/** `lateen completion bash|zsh|fish`: a script that the shell loads. */
export function completionCommand(cli: Cli, program: () => Command): Command {
  return command("completion", "print a script that completes commands and options in a shell", [
    "source <(lateen completion bash)",
    "lateen completion zsh > ~/.zfunc/_lateen",
    "lateen completion fish > ~/.config/fish/completions/lateen.fish",
  ])
    .addArgument(new Argument("<shell>", "which shell").choices(["bash", "zsh", "fish"]))
    .action((shell: string) => {
      const words = commandWords(program());
      switch (shell) {
        case "zsh":
          return cli.out(zshCompletion(words));
        case "fish":
          return cli.out(fishCompletion(words));
        default:
          return cli.out(bashCompletion(words));
      }
    });
}

function commandWords(program: Command): readonly Word[] {
  return program.commands.map((each) => ({
    name: each.name(),
    describe: each.description(),
    options: each.options.flatMap((option) => [option.short, option.long].filter((text) => text !== undefined)),
    arguments: each.registeredArguments.flatMap((argument) => argument.argChoices ?? []),
  }));
}
