import {
  type AnalysisFinding,
  analyze,
  type DecodedObject,
  decodeText,
  formatOrigin,
  keyOf,
  parseResourceKey,
  type Resource,
  type ResourceKey,
} from "@lateen/mesh-model";
import type { Cli } from "../cli.ts";
import type { AnalyzeOptions } from "../commands/analyze.ts";
import { usageError } from "../errors.ts";
import { Exit, exitCodes } from "../exit.ts";
import { shortPath } from "../mesh/client.ts";
import { readSources, type SourceText } from "../mesh/documents.ts";
import { type Paint, paint } from "../output/color.ts";
import { printResult } from "../output/format.ts";
import { type AnalyzeLevel, analyzeLevels } from "./analyze-levels.ts";
import { meshConfigOf } from "./objects.ts";

/** A finding as istioctl prints it. */
export interface AnalyzeMessage {
  readonly code: string;
  readonly level: AnalyzeLevel;
  /** `VirtualService default/foo` */
  readonly origin: string;
  readonly message: string;
  /** `file:line` */
  readonly reference: string;
  readonly documentationUrl: string;
}

/** Code of what is wrong with one object by itself. */
const SCHEMA_ERROR = "IST0106";

/**
 * Analyzes files together. Ends with 79 when something is found from the threshold on.
 * @throws LTN7501 for a suppression that is none, LTN7505 for what cannot be read.
 */
export async function analyzeFiles(cli: Cli, paths: readonly string[], options: AnalyzeOptions): Promise<void> {
  const suppressed = (options.suppress ?? []).map(suppression);
  const sources = await readSources(cli, paths, { recursive: options.recursive ?? false });
  const mesh = options.meshConfigFile === undefined ? undefined : (await readSources(cli, [options.meshConfigFile]))[0];
  const all = messagesOf(cli, sources, { mesh, namespace: options.namespace ?? "default" });
  const shown = all
    .filter((message) => !suppressed.some((matches) => matches(message)))
    .filter(({ level }) => atLeast(level, options.outputThreshold));
  const format = options.output === "log" ? "text" : options.output;
  const names = sources.map(({ file }) => shortPath(cli, file));
  await printResult(cli, format, shown, () => logText(shown, names, paint(cli.outColor)));
  if (shown.some(({ level }) => atLeast(level, options.failureThreshold))) throw new Exit(exitCodes.findings);
}

function atLeast(level: AnalyzeLevel, threshold: AnalyzeLevel): boolean {
  return analyzeLevels.indexOf(level) <= analyzeLevels.indexOf(threshold);
}

interface Context {
  readonly mesh: SourceText | undefined;
  readonly namespace: string;
}

function messagesOf(cli: Cli, sources: readonly SourceText[], { mesh, namespace }: Context): readonly AnalyzeMessage[] {
  const decoded = new Map<ResourceKey, DecodedObject>();
  const messages: AnalyzeMessage[] = [];
  for (const source of sources) {
    const input = { file: shortPath(cli, source.file), text: source.text };
    for (const document of decodeText(input, { defaultNamespace: namespace, positions: true })) {
      if (document.ok) {
        if (!decoded.has(keyOf(document.object))) decoded.set(keyOf(document.object), document);
        continue;
      }
      if (document.ignored) continue;
      const origin =
        `${document.kind || "document"} ${[document.namespace, document.name].filter(Boolean).join("/")}`.trim();
      for (const { level, message, path, origin: at } of document.diagnostics) {
        if (level !== "error") continue;
        const text = `Schema validation error: ${path === "" || message.includes(path) ? "" : `${path}: `}${message}`;
        messages.push(messageOf({ code: SCHEMA_ERROR, level: "Error", origin, message: text }, at));
      }
    }
  }
  const objects = [...decoded.values()].map(({ object }) => object);
  const config = meshConfigOf(cli, mesh, objects);
  const found = analyze(objects, {
    rootNamespace: config.rootNamespace,
    originOf: (object: Resource, path) => {
      const document = decoded.get(keyOf(object));
      return document?.locate?.(path, "value") ?? document?.origin ?? { file: "", line: 0, column: 0 };
    },
  });
  return [...messages, ...found.map(fromFinding)];
}

const LEVELS = { error: "Error", warning: "Warning", info: "Info" } as const;

function fromFinding({ code, severity, object, message, hint, origin }: AnalysisFinding): AnalyzeMessage {
  const key = parseResourceKey(object);
  const text = hint === undefined ? message : `${message.replace(/\.$/, "")}; ${hint}`;
  const where = key === undefined ? object : `${key.kind} ${[key.namespace, key.name].filter(Boolean).join("/")}`;
  return messageOf({ code, level: LEVELS[severity], origin: where, message: text }, origin);
}

function messageOf(
  facts: Pick<AnalyzeMessage, "code" | "level" | "origin" | "message">,
  at: { readonly file: string; readonly line: number; readonly column: number },
): AnalyzeMessage {
  const documentationUrl = `https://istio.io/latest/docs/reference/config/analysis/${facts.code.toLowerCase()}/`;
  return { ...facts, reference: formatOrigin(at).replace(/:\d+$/, ""), documentationUrl };
}

/** `IST0118=Service default.*`: code, and kind with name and namespace as istioctl writes them. `*` stands for any text. */
function suppression(text: string): (message: AnalyzeMessage) => boolean {
  const [, code, kind, resource] = /^(IST\d{4}|\*)=(\S+)\s+(\S+)$/.exec(text) ?? [];
  if (code === undefined || kind === undefined || resource === undefined) {
    throw usageError(`"${text}" is not a suppression`, "write it as `IST0118=Service reviews.default`");
  }
  return (message) => {
    const [ownKind = "", object = ""] = message.origin.split(" ");
    const [first = "", second] = object.split("/");
    const dotted = second === undefined ? first : `${second}.${first}`;
    return (
      matches(code, message.code) && matches(kind, ownKind) && (matches(resource, dotted) || matches(resource, object))
    );
  };
}

/** Whether a text is what a pattern with `*` says. Linear: every part is looked for after the one before. */
function matches(pattern: string, text: string): boolean {
  const parts = pattern.split("*");
  const [head = ""] = parts;
  const tail = parts.at(-1) ?? "";
  if (parts.length === 1) return pattern === text;
  if (!text.startsWith(head) || !text.endsWith(tail) || text.length < head.length + tail.length) return false;
  let at = head.length;
  for (const part of parts.slice(1, -1)) {
    const found = text.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return at <= text.length - tail.length;
}

function logText(messages: readonly AnalyzeMessage[], files: readonly string[], ink: Paint): string {
  if (messages.length === 0) return `${ink.good("✔")} No validation issues found when analyzing ${files.join(", ")}.\n`;
  return messages
    .map(({ code, level, origin, message, reference }) => {
      const color = level === "Error" ? ink.bad : level === "Warning" ? ink.warn : ink.dim;
      return `${color(level)} [${code}] (${origin} ${reference}) ${message}\n`;
    })
    .join("");
}
