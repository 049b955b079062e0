import type { Sample } from "./telemetry.ts";

/** Samples beyond this number are not read; a scrape of one proxy is far below it. */
const MAX_SAMPLES = 500_000;

/**
 * Reads Prometheus' text exposition (format 0.0.4). Comments and timestamps are dropped, a line that is not a sample is skipped.
 * @see https://prometheus.io/docs/instrumenting/exposition_formats/
 */
export function parseExposition(text: string): Sample[] {
  const samples: Sample[] = [];
  let at = 0;
  while (at < text.length && samples.length < MAX_SAMPLES) {
    let end = text.indexOf("\n", at);
    if (end < 0) end = text.length;
    const sample = parseLine(text.slice(at, end));
    if (sample) samples.push(sample);
    at = end + 1;
  }
  return samples;
}

const NAME = /^\s*([a-zA-Z_:][a-zA-Z0-9_:]*)\s*/;
const LABEL = /\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"((?:[^"\\]|\\.)*)"\s*(,|(?=\}))/y;

function parseLine(line: string): Sample | undefined {
  const head = NAME.exec(line);
  const name = head?.[1];
  if (!head || name === undefined) return undefined;
  let at = head[0].length;
  const labels: Record<string, string> = {};
  if (line[at] === "{") {
    at++;
    while (line[at] !== "}") {
      LABEL.lastIndex = at;
      const label = LABEL.exec(line);
      if (label?.[1] === undefined || label[2] === undefined) {
        if (line.slice(at).trimStart().startsWith("}")) {
          at = line.indexOf("}", at);
          break;
        }
        return undefined;
      }
      Object.defineProperty(labels, label[1], { value: unescapeLabel(label[2]), enumerable: true, configurable: true });
      at = LABEL.lastIndex;
    }
    at++;
  }
  const value = parseValue(line.slice(at).trim().split(/\s+/, 1)[0] ?? "");
  return value === undefined ? undefined : { name, labels, value };
}

function unescapeLabel(text: string): string {
  if (!text.includes("\\")) return text;
  return text.replace(/\\(.)/g, (_, char: string) => (char === "n" ? "\n" : char));
}

function parseValue(text: string): number | undefined {
  switch (text) {
    case "":
      return undefined;
    case "+Inf":
      return Number.POSITIVE_INFINITY;
    case "-Inf":
      return Number.NEGATIVE_INFINITY;
    case "NaN":
      return Number.NaN;
    default: {
      const value = Number(text);
      return Number.isNaN(value) ? undefined : value;
    }
  }
}
