import type { CallTrace } from "./call.ts";
import type { DestinationFacts, ForwardOutcome, HeaderChange, Outcome, PolicyVerdict, Trace } from "./trace.ts";

/** What becomes of a call, in one line: `90% CLUSTER, 10% CLUSTER`, `301 LOCATION`, `403 at NS/WORKLOAD: OBJECT`, `close: REASON`. */
export function verdictLine(call: CallTrace): string {
  const { client } = call;
  if (client.outcome.kind !== "forward") return outcomeLine(client.outcome, client.policies);
  const further = call.servers.flatMap(({ workload, trace }) => {
    if (trace === undefined) return [];
    if (trace.outcome.kind === "forward") return askedOf(trace.policies).map((who) => `${who} decides at ${workload}`);
    return [outcomeLine(trace.outcome, trace.policies, `at ${workload}`)];
  });
  const first = askedOf(client.policies).map((who) => `${who} decides`);
  return [...first, forwardLine(client.outcome), ...further].join("; ");
}

/** Services that have the last word on a request. */
function askedOf(policies: readonly PolicyVerdict[]): readonly string[] {
  return policies.flatMap(({ asked }) => asked ?? []);
}

function forwardLine({ destinations }: ForwardOutcome): string {
  return destinations.map((each) => `${share(each.share)}${destinationLine(each)}`).join(", ");
}

function share(value: number): string {
  return value >= 1 ? "" : `${percent(value)} `;
}

function percent(value: number): string {
  return `${Number((value * 100).toFixed(4))}%`;
}

function destinationLine(to: DestinationFacts): string {
  if (!to.exists) return `${to.missingStatus}: no cluster ${to.cluster}`;
  if (to.refused !== undefined) return `${to.cluster} (refused: ${to.refused})`;
  if (to.cluster === "") return "straight on";
  return to.endpoints.length === 0 ? `${to.cluster} (no endpoints)` : to.cluster;
}

function outcomeLine(
  outcome: Exclude<Outcome, ForwardOutcome>,
  policies: readonly PolicyVerdict[],
  where = "",
): string {
  const at = where === "" ? "" : ` ${where}`;
  const refusal = policies.find(({ allowed }) => !allowed);
  const by = refusal === undefined ? "" : `: ${refusal.object ?? "no ALLOW policy matches"}`;
  switch (outcome.kind) {
    case "redirect":
      return `${outcome.status} ${outcome.location}${at}`;
    case "answer":
      return `${outcome.status}${at}${by}`;
    case "close":
      return `close${at}${by === "" ? `: ${outcome.why}` : by}`;
  }
}

/** A whole call for people: one step a line, with the object responsible. */
export function explainCall(call: CallTrace): string {
  const lines = [
    `from ${call.from}${call.address === undefined ? "" : ` to ${call.address}`}`,
    ...traceLines(call.client),
  ];
  for (const server of call.servers) {
    lines.push("", `at ${server.workload} ${server.endpoint}`);
    lines.push(...(server.trace === undefined ? ["  no proxy: nothing is decided here"] : traceLines(server.trace)));
  }
  return `${lines.join("\n")}\n`;
}

function traceLines(trace: Trace): readonly string[] {
  const lines: string[] = [];
  const add = (what: string, value: string, object?: string) =>
    lines.push(`  ${what.padEnd(13)}${value}${object === undefined ? "" : `   (${object})`}`);
  if (trace.listener !== undefined) add("listener", trace.listener);
  if (trace.chain !== undefined && trace.chain !== "") add("filter chain", trace.chain);
  if (trace.downstreamTls !== "none") add("TLS", trace.downstreamTls);
  for (const { action, allowed, policy, object, asked } of trace.policies) {
    if (asked !== undefined) {
      add("policy", `${asked} decides: CUSTOM matches`, object ?? policy);
      continue;
    }
    const said = policy === undefined ? `no ${action.toUpperCase()} policy matches` : `${action.toUpperCase()} matches`;
    add("policy", `${allowed ? "allowed" : "refused"}: ${said}`, object ?? policy);
  }
  if (trace.routeConfig !== undefined) add("routes", trace.routeConfig);
  if (trace.virtualHost !== undefined) add("virtual host", trace.virtualHost);
  if (trace.route !== undefined) add("route", trace.route.name || "unnamed", trace.route.object);
  for (const fault of trace.faults) {
    const what = fault.abortStatus === undefined ? `delay of ${fault.delayMs} ms` : `abort with ${fault.abortStatus}`;
    add("fault", `${what} for ${percent(fault.share)} of the requests`);
  }
  outcomeLines(trace.outcome, add);
  return lines;
}

type Add = (what: string, value: string, object?: string) => void;

function outcomeLines(outcome: Outcome, add: Add): void {
  switch (outcome.kind) {
    case "redirect":
      add("redirect", `${outcome.status} ${outcome.location}`);
      return;
    case "answer":
      add(
        "answer",
        `${outcome.status}${outcome.body === "" ? "" : ` ${JSON.stringify(outcome.body)}`}: ${outcome.why}`,
      );
      return;
    case "close":
      add("close", outcome.why);
      return;
    case "forward":
      forwardLines(outcome, add);
  }
}

function forwardLines(outcome: ForwardOutcome, add: Add): void {
  if (outcome.path !== undefined) add("path", outcome.path);
  if (outcome.timeoutMs > 0) add("timeout", `${outcome.timeoutMs} ms`);
  if (outcome.retries !== undefined) add("retries", `${outcome.retries.attempts} on ${outcome.retries.on.join(",")}`);
  for (const { cluster, share: part } of outcome.mirrors) add("mirror", `${percent(part)} to ${cluster}`);
  for (const to of outcome.destinations) {
    add("cluster", `${share(to.share)}${destinationLine(to)}`, to.object);
    if (to.authority !== undefined) add("authority", to.authority);
    for (const edit of to.requestEdits) add("request", editText(edit));
    for (const edit of to.responseEdits) add("response", editText(edit));
    for (const { address, port, workload, tls, priority, healthy } of to.endpoints) {
      const notes = [
        tls === "none" ? "plain text" : tls,
        priority > 0 ? `priority ${priority}` : "",
        healthy ? "" : "unhealthy",
      ];
      add("endpoint", `${address}:${port} ${workload ?? ""} ${notes.filter(Boolean).join(", ")}`.replaceAll("  ", " "));
    }
  }
}

function editText({ change, name, value }: HeaderChange): string {
  return change === "remove" ? `remove ${name}` : `${change} ${name}: ${value}`;
}
