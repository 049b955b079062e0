import type { StateFacts } from "./nats-bus.ts";

export interface BusFacts {
  readonly connected: boolean;
  readonly connections: number;
  readonly states: readonly StateFacts[];
  readonly events: readonly {
    readonly topic: string;
    readonly emitted: number;
    readonly received: number;
    readonly dropped: number;
  }[];
}

/** Prometheus text of a bus; the only label is the topic, of which there are as many as the program has. */
export function exposition({ connected, connections, states, events }: BusFacts): string {
  const lines: string[] = [];
  const metric = (
    name: string,
    type: "gauge" | "counter",
    help: string,
    rows: readonly (readonly [string, number])[],
  ) => {
    if (rows.length === 0) return;
    lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`);
    for (const [topic, value] of rows) lines.push(`${name}${topic === "" ? "" : `{topic="${topic}"}`} ${value}`);
  };
  metric("lateen_nats_connected", "gauge", "Whether there is a connection to NATS.", [["", connected ? 1 : 0]]);
  metric("lateen_nats_connections_total", "counter", "Connections that were made to NATS.", [["", connections]]);
  metric(
    "lateen_nats_state_current",
    "gauge",
    "Whether the topic is what its publisher says (followers), or lies in its bucket as published (publishers).",
    states.map(({ topic, current }) => [topic, current ? 1 : 0]),
  );
  metric(
    "lateen_nats_state_direct",
    "gauge",
    "Whether the topic is followed at its publisher itself, because NATS is not current.",
    states.map(({ topic, feed }) => [topic, feed === "direct" ? 1 : 0]),
  );
  metric(
    "lateen_nats_state_revision",
    "gauge",
    "Revision of the topic.",
    states.flatMap(({ topic, revision }) => (revision === undefined ? [] : [[topic, revision] as const])),
  );
  metric("lateen_nats_events_emitted_total", "counter", "Events handed to NATS.", rowsOf("emitted"));
  metric("lateen_nats_events_received_total", "counter", "Events that came from NATS.", rowsOf("received"));
  metric("lateen_nats_events_dropped_total", "counter", "Events known to be lost.", rowsOf("dropped"));
  return lines.length === 0 ? "" : `${lines.join("\n")}\n`;

  function rowsOf(count: "emitted" | "received" | "dropped"): readonly (readonly [string, number])[] {
    return events.map((one) => [one.topic, one[count]]);
  }
}
