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
      const { stringify } = await import("yaml");
      // Through JSON, so that both forms always hold the same.
      cli.out(stringify(JSON.parse(JSON.stringify(value)), { lineWidth: 0, aliasDuplicateObjects: false }));
      return;
    }
  }
}
