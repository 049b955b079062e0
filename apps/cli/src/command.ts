import { Command, InvalidArgumentError, Option } from "commander";
import type { OutputFormat } from "./output/format.ts";

/** What every command has in common: its name, one line on what it does, and an example at least. */
export function command(usage: string, describe: string, examples: readonly string[]): Command {
  return new Command(usage)
    .description(describe)
    .helpOption("-h, --help", "show this help")
    .addHelpText("after", `\nExamples:\n${examples.map((example) => `  ${example}`).join("\n")}`);
}

/** `--mesh NAME`: which mesh of this machine. */
export function meshOption(): Option {
  return new Option("--mesh <name>", "name of the mesh on this machine")
    .env("LATEEN_MESH")
    .default("default")
    .argParser((name: string) => {
      if (/^[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?$/.test(name)) return name;
      throw new InvalidArgumentError("a mesh name has up to 32 lower-case letters, digits and dashes");
    });
}

/** `-o json|yaml`. */
export function outputOption(describe = "complete output for programs"): Option {
  return new Option("-o, --output <format>", describe).choices(["json", "yaml"]);
}

/** `-n NS`. */
export function namespaceOption(): Option {
  return new Option("-n, --namespace <name>", "namespace");
}

/** `-f FILE|DIR`, repeatable. */
export function fileOption(describe: string): Option {
  return new Option("-f, --filename <path...>", describe);
}

/** `-H 'name: value'`, repeatable. */
export function headerOption(): Option {
  return new Option("-H, --header <name: value>", "a header of the request, repeatable").argParser(collectHeader);
}

type Headers = readonly (readonly [name: string, value: string])[];

function collectHeader(text: string, before: Headers = []): Headers {
  const colon = text.indexOf(":");
  if (colon <= 0) throw new InvalidArgumentError("a header is written `name: value`");
  return [...before, [text.slice(0, colon).trim().toLowerCase(), text.slice(colon + 1).trim()]];
}

/** The format that {@link outputOption} chose. */
export function formatOf(output: string | undefined): OutputFormat {
  return output === "json" || output === "yaml" ? output : "text";
}

/** A port number. */
export function parsePort(text: string): number {
  const port = Number(text);
  if (/^\d+$/.test(text) && port <= 65_535) return port;
  throw new InvalidArgumentError("a port is a number from 0 to 65535");
}
