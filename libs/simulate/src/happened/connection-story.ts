import type { ConnectionRecord, UpstreamRecord } from "@lateen/proxy";
import { type Cause, objectOf } from "./cause.ts";
import { causeOfConnection } from "./connection-cause.ts";

/** What one proxy remembers of a connection. */
export interface ConnectionHop {
  /** `namespace/pod` of the proxy. */
  readonly proxy: string;
  readonly record: ConnectionRecord;
}

/** A connection that came to nothing, and why. Each connection is one proxy's alone. */
export interface ConnectionStory extends ConnectionHop {
  readonly cause: Cause;
}

export function connectionStoryOf(hop: ConnectionHop): ConnectionStory {
  return { ...hop, cause: causeOfConnection(hop.record) };
}

/** `TCP 10.0.0.2:80 -> closed UF` */
export function connectionLine({ offered, destination, flags, details, times }: ConnectionRecord): string {
  const said = [flags, details].filter((text) => text !== "").join(" ");
  const often = times > 1 ? ` (${times} times)` : "";
  return `${offered.tls ? "TLS" : "TCP"} ${destination} -> closed ${said}`.trimEnd() + often;
}

/** A story for people: one step a line. @param place where an object is written; undefined: unknown. */
export function connectionStoryText(story: ConnectionStory, place: (object: string) => string | undefined): string {
  const { proxy, record, cause } = story;
  const placed = (object: string): string => {
    const at = place(object);
    return at === undefined ? object : `${object}, ${at}`;
  };
  const when = new Date(record.startTimeMs).toISOString();
  const lines = [
    `connection ${record.connectionId}: ${connectionLine(record)}`,
    "",
    `at ${proxy}, ${record.direction}, ${when}, ${Math.round(record.durationMs)} ms`,
  ];
  const add = (what: string, value: string) => lines.push(`  ${what.padEnd(13)}${value}`);
  const { client, listener, chain, offered, upstream, flags, details } = record;
  add("client", `${client.address}:${client.port}${client.principal === undefined ? "" : ` as ${client.principal}`}`);
  add("listener", `${listener}${chain === "" ? "" : `, chain ${chain}`}`);
  if (offered.tls) add("TLS", offeredText(offered));
  if (upstream !== undefined) upstreamLines(upstream, add, placed);
  if (record.bytesReceived + record.bytesSent > 0) {
    add("bytes", `${record.bytesReceived} from the client, ${record.bytesSent} to it`);
  }
  add("end", [flags, details].filter((text) => text !== "").join(" ") || "closed");
  lines.push("", `because: ${cause.why}, at ${proxy}`, ...cause.objects.map((object) => `  ${placed(object)}`));
  if (cause.next !== undefined) lines.push(`next: ${cause.next}`);
  return `${lines.join("\n")}\n`;
}

function offeredText({ serverName, protocols }: ConnectionRecord["offered"]): string {
  const alpn = protocols.length === 0 ? "no ALPN" : `ALPN ${protocols.join(", ")}`;
  return `${serverName === "" ? "no server name" : `server name ${serverName}`}, ${alpn}`;
}

function upstreamLines(
  { cluster, exists, origin, endpoint, workload, tls, outcome, failure = "" }: UpstreamRecord,
  add: (what: string, value: string) => void,
  placed: (object: string) => string,
): void {
  const by = origin === undefined ? "" : `   (${placed(objectOf(origin))})`;
  add("cluster", `${cluster}${exists ? "" : ", which does not exist"}${by}`);
  if (endpoint === undefined) return;
  const who = `${endpoint}${workload === undefined ? "" : ` ${workload}`}, ${tls ? "TLS" : "plain text"}`;
  add(
    outcome === undefined ? "endpoint" : "last try",
    outcome === undefined ? who : `${who}: ${outcome}${failure === "" ? "" : ` (${failure})`}`,
  );
}
