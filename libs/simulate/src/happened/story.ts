import type { ForwardRecord, RequestRecord } from "@lateen/proxy";
import { type Cause, causeOf, objectOf } from "./cause.ts";

/** What one proxy remembers of a request. */
export interface Hop {
  /** `namespace/pod` of the proxy. */
  readonly proxy: string;
  readonly record: RequestRecord;
}

/** A hop with what it means. */
export interface ExplainedHop extends Hop {
  readonly cause: Cause;
}

/** A request over all proxies that remember it. */
export interface Story {
  readonly requestId: string;
  /** In the order in which the request reached them. */
  readonly hops: readonly ExplainedHop[];
  /** The hop that decided: the last one that answered by itself, else the last whose answer is a failure, else the first. */
  readonly decisive: ExplainedHop;
}

/** Puts the hops of one request in order; undefined without any. */
export function storyOf(hops: readonly Hop[]): Story | undefined {
  // The clock of two proxies may show the same millisecond: the client's side comes first.
  const ordered = [...hops]
    .sort((a, b) => a.record.startTimeMs - b.record.startTimeMs || side(a) - side(b))
    .map((hop) => ({ ...hop, cause: causeOf(hop.record) }));
  const decisive =
    ordered.findLast(({ record }) => record.answeredBy !== "upstream") ??
    ordered.findLast(({ record }) => record.status >= 400) ??
    ordered[0];
  return decisive === undefined ? undefined : { requestId: decisive.record.requestId, hops: ordered, decisive };
}

function side({ record }: Hop): number {
  return record.direction === "inbound" ? 1 : 0;
}

/** A story for people: one step a line. @param place where an object is written; undefined: unknown. */
export function storyText(story: Story, place: (object: string) => string | undefined): string {
  const { record } = story.hops[0] ?? story.decisive;
  const id = story.requestId === "" ? "a request without an id" : `request ${story.requestId}`;
  const lines = [`${id}: ${asked(record)}`];
  for (const hop of story.hops) lines.push("", ...hopLines(hop, place));
  const { why, objects, next } = story.decisive.cause;
  lines.push("", `because: ${why}, at ${story.decisive.proxy}`);
  for (const object of objects) lines.push(`  ${placed(object, place)}`);
  if (next !== undefined) lines.push(`next: ${next}`);
  return `${lines.join("\n")}\n`;
}

/** `GET reviews:9080/x -> 503 UH no_healthy_upstream` */
export function requestLine(record: RequestRecord): string {
  const { flags, details } = record;
  return `${asked(record)}${flags === "" ? "" : ` ${flags}`} ${details}`.trimEnd();
}

/** What was asked for and what the client got. */
function asked({ method, authority, path, status }: RequestRecord): string {
  const what = method === "" ? "what was no request" : `${method} ${authority}${path}`;
  return `${what} -> ${status === 0 ? "no answer" : status}`;
}

type Add = (what: string, value: string, object?: string) => void;

function hopLines({ proxy, record }: ExplainedHop, place: (object: string) => string | undefined): readonly string[] {
  const when = new Date(record.startTimeMs).toISOString();
  const lines = [`at ${proxy}, ${record.direction}, ${when}, ${Math.round(record.durationMs)} ms`];
  const add: Add = (what, value, object) => {
    const by = object === undefined ? "" : `   (${placed(objectOf(object), place)})`;
    lines.push(`  ${what.padEnd(13)}${value}${by}`);
  };
  const { client, listener, chain, routeTable, virtualHost, route, forward } = record;
  add("client", `${client.address}${client.principal === undefined ? "" : ` as ${client.principal}`}`);
  add("listener", `${listener}${chain === "" ? "" : `, chain ${chain}`}`);
  if (routeTable !== undefined) add("routes", routeTable);
  if (virtualHost !== undefined) add("virtual host", virtualHost);
  if (route !== undefined) add("route", route.name || "unnamed", route.origin);
  if (forward !== undefined) forwardLines(forward, add);
  add("answer", `${answerer(record)}${record.flags === "" ? "" : ` ${record.flags}`} ${record.details}`.trimEnd());
  return lines;
}

function answerer({ answeredBy, status }: RequestRecord): string {
  return answeredBy === "nobody" ? "none:" : `${status} by the ${answeredBy}:`;
}

function forwardLines(forward: ForwardRecord, add: Add): void {
  add("cluster", forward.exists ? forward.cluster : `${forward.cluster}, which does not exist`, forward.origin);
  for (const { endpoint, outcome, detail, atMs } of forward.failures) {
    add("attempt", `${endpoint}: ${outcome}${detail === "" ? "" : ` (${detail})`} after ${Math.round(atMs)} ms`);
  }
  const { endpoint, workload, tls, principal } = forward;
  if (endpoint === undefined) return;
  const sent = forward.attempts > forward.failures.length ? "endpoint" : "last try";
  const over = tls === "none" ? "plain text" : tls === "tls" ? "TLS" : "mutual TLS";
  add(
    sent,
    `${endpoint}${workload === undefined ? "" : ` ${workload}`}, ${over}${principal ? ` with ${principal}` : ""}`,
  );
}

function placed(object: string, place: (object: string) => string | undefined): string {
  const at = place(object);
  return at === undefined ? object : `${object}, ${at}`;
}
