import type { Cli } from "../cli.ts";

/** How results are written: for people, or complete and stable for programs. */
export type OutputFormat = "text" | "json" | "yaml";

/** Writes a result: `text()` for people, the whole value otherwise. */
export async function printResult(cli: Cli, format: OutputFormat, value: unknown, text: () => string): Promise<void> {
  switch (format) {
    case "text":
      cli.out(text());
      return;
    case "json":
      cli.out(`${JSON.stringify(value, null, 2)}\n`);
      return;
    case "yaml": {
      const { toYaml } = await import("./yaml.ts");
      cli.out(toYaml(value));
      return;
    }
  }
}
