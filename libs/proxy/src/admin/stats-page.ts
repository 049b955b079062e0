import { RE2JS } from "re2js";
import { expositionText, formatLabels } from "../agent/exposition.ts";
import type { AgentParts } from "../agent/parts.ts";
import { agentSamples } from "../agent/samples.ts";
import type { SummedSeries } from "../agent/stats-reader.ts";
import { json, metrics, type PageRequest, type PageResponse, text } from "./page.ts";

/** Everything this process counts, in Prometheus text. */
export function prometheusText(parts: AgentParts): string {
  return expositionText(parts.stats.read(parts.pool.stats()), agentSamples(parts));
}

/** Envoy's `/stats`: `?format=text|json|prometheus`, `?filter=RE2`, `?usedonly`. */
export function statsPage(parts: AgentParts, { query }: PageRequest): PageResponse {
  const format = query.get("format") ?? "text";
  if (format === "prometheus") return metrics(prometheusText(parts));
  if (format !== "text" && format !== "json")
    return text(`format ${format} is not known, use text, json or prometheus\n`, 400);
  const keep = filterOf(query);
  if (typeof keep === "string") return text(`${keep}\n`, 400);
  const scalars: { name: string; value: number }[] = [];
  for (const series of parts.stats.read(parts.pool.stats())) {
    for (const scalar of scalarsOf(series)) if (keep(scalar.name, scalar.value)) scalars.push(scalar);
  }
  for (const { name, labels, value } of agentSamples(parts)) {
    const full = `${name}${formatLabels(labels ?? {})}`;
    if (keep(full, value)) scalars.push({ name: full, value });
  }
  if (format === "json") return json({ stats: scalars });
  return text(scalars.map(({ name, value }) => `${name}: ${value}\n`).join(""));
}

function filterOf(query: URLSearchParams): string | ((name: string, value: number) => boolean) {
  const used = query.has("usedonly");
  const pattern = query.get("filter");
  if (pattern === null) return (_, value) => !used || value !== 0;
  try {
    const compiled = RE2JS.compile(pattern);
    return (name, value) => (!used || value !== 0) && compiled.matcher(name).find();
  } catch (error) {
    return `filter: ${error instanceof Error ? error.message : String(error)}`;
  }
}

/** A histogram shows as its count and sum. */
function scalarsOf({ definition, values }: SummedSeries): readonly { name: string; value: number }[] {
  const labels = formatLabels(definition.labels);
  if (definition.kind !== "histogram") return [{ name: `${definition.name}${labels}`, value: values[0] ?? 0 }];
  const buckets = (definition.bounds?.length ?? 0) + 1;
  const count = values.subarray(0, buckets).reduce((sum, value) => sum + value, 0);
  return [
    { name: `${definition.name}_count${labels}`, value: count },
    { name: `${definition.name}_sum${labels}`, value: values[buckets] ?? 0 },
  ];
}
