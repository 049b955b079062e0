import type { SummedSeries } from "./stats-reader.ts";

/** A value of the agent itself. */
export interface AgentSample {
  readonly name: string;
  readonly kind: "counter" | "gauge";
  readonly help: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly value: number;
}

/** Prometheus text format, version 0.0.4. Series of one metric must follow each other. */
export function expositionText(series: readonly SummedSeries[], agent: readonly AgentSample[]): string {
  const lines: string[] = [];
  let last = "";
  for (const { definition, values } of series) {
    const name = definition.name;
    if (name !== last) lines.push(`# TYPE ${name} ${definition.kind}`);
    last = name;
    if (definition.kind === "histogram") histogram(lines, definition, values);
    else lines.push(`${name}${formatLabels(definition.labels)} ${numberText(values[0] ?? 0)}`);
  }
  for (const sample of agent) {
    if (sample.name !== last)
      lines.push(`# HELP ${sample.name} ${sample.help}`, `# TYPE ${sample.name} ${sample.kind}`);
    last = sample.name;
    lines.push(`${sample.name}${formatLabels(sample.labels ?? {})} ${numberText(sample.value)}`);
  }
  return `${lines.join("\n")}\n`;
}

/** Slots hold one count per bucket, `+Inf` included, and then the sum. */
function histogram(lines: string[], definition: SummedSeries["definition"], values: Float64Array): void {
  const bounds = definition.bounds ?? [];
  let total = 0;
  for (const [index, bound] of [...bounds, Number.POSITIVE_INFINITY].entries()) {
    total += values[index] ?? 0;
    const le = bound === Number.POSITIVE_INFINITY ? "+Inf" : String(bound);
    lines.push(`${definition.name}_bucket${formatLabels({ ...definition.labels, le })} ${numberText(total)}`);
  }
  const labels = formatLabels(definition.labels);
  lines.push(`${definition.name}_sum${labels} ${numberText(values[bounds.length + 1] ?? 0)}`);
  lines.push(`${definition.name}_count${labels} ${numberText(total)}`);
}

/** `{a="1",b="2"}`, or nothing without labels. */
export function formatLabels(labels: Readonly<Record<string, string>>): string {
  const entries = Object.entries(labels);
  if (entries.length === 0) return "";
  return `{${entries.map(([name, value]) => `${name}="${escapeLabel(value)}"`).join(",")}}`;
}

function escapeLabel(value: string): string {
  return /[\\"\n]/.test(value) ? value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n") : value;
}

function numberText(value: number): string {
  if (Number.isFinite(value)) return String(value);
  return Number.isNaN(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf";
}
