import {
  type ConnectionStory,
  connectionLine,
  connectionStoryOf,
  type ExplainedHop,
  objectOf,
  requestLine,
  type Story,
  storyOf,
  storyText,
} from "@lateen/simulate";
import type { Cli } from "../cli.ts";
import { notFound, usageError } from "../errors.ts";
import type { ListedObject } from "../get/object-status.ts";
import { MeshClient } from "../mesh/client.ts";
import { type OutputFormat, printResult } from "../output/format.ts";
import { age, table } from "../output/table.ts";
import { connectionSummary, connectionsMeant, explainConnection, hasId } from "./connections.ts";
import { originsOf, placesOf } from "./places.ts";
import { remembered, warn } from "./remembered.ts";

/** Records asked of each proxy for one request: one, unless it was retried by the client. */
const MOST_OF_ONE = 100;

/**
 * Tells the story of one request, over all proxies that remember it, or of one connection that came to nothing.
 * @throws LTN7504 when none does, LTN7501 when the id is the beginning of several.
 */
export async function explainRequest(cli: Cli, mesh: string, id: string, format: OutputFormat): Promise<void> {
  const client = new MeshClient(cli, mesh);
  const [{ hops, connections, silent }, { objects }] = await Promise.all([
    remembered(client, id, MOST_OF_ONE),
    client.get<{ readonly objects: readonly ListedObject[] }>("/config/objects"),
  ]);
  warn(cli, silent);
  const exact = hops.filter(({ record }) => record.requestId === id);
  const meant = exact.length > 0 ? exact : hops;
  const broken = connectionsMeant(connections, id);
  // An id that is written out is meant; the beginning of both a request's and a connection's is taken for the request's.
  if (broken.length > 0 && exact.length === 0 && (meant.length === 0 || hasId(broken, id))) {
    return explainConnection(cli, { hops: broken, id }, originsOf(objects), format);
  }
  const ids = [...new Set(meant.map(({ record }) => record.requestId))];
  if (ids.length > 1)
    throw usageError(`"${id}" is the beginning of ${ids.length} request ids`, ids.slice(0, 10).join(", "));
  const story = storyOf(meant);
  if (story === undefined) {
    throw notFound(
      `no proxy remembers request "${id}", nor a connection of this id`,
      "they remember the latest requests and connections that failed; for others: `lateen explain --record 60`, then send it again",
    );
  }
  const places = await placesOf(cli, objectsOf(story), originsOf(objects));
  const place = (object: string): string | undefined => places.get(object);
  await printResult(cli, format, storyValue(story, place), () => storyText(story, place));
}

/** Lists the latest requests and connections that some proxy remembers, the newest first. */
export async function listFailures(
  cli: Cli,
  { mesh, limit }: { readonly mesh: string; readonly limit: number },
  format: OutputFormat,
): Promise<void> {
  const { hops, connections, silent } = await remembered(new MeshClient(cli, mesh), "", limit);
  warn(cli, silent);
  const byId = Map.groupBy(hops, ({ record }, index) => record.requestId || `none ${index}`);
  const lines = [
    ...[...byId.values()].flatMap((list) => storyOf(list) ?? []).map(requestEntry),
    ...connections.map((hop) => connectionEntry(connectionStoryOf(hop))),
  ];
  const latest = lines.sort((a, b) => b.startedMs - a.startedMs).slice(0, limit);
  const values = latest.map(({ value }) => value);
  await printResult(cli, format, values, () => {
    const now = Date.now();
    if (latest.length === 0) return "no proxy remembers a request or a connection that failed\n";
    return table(
      ["AGE", "ID", "AT", "REQUEST", "BECAUSE"],
      latest.map(({ startedMs, cells }) => [age(now - startedMs), ...cells]),
    );
  });
}

interface Entry {
  readonly startedMs: number;
  readonly value: object;
  /** Id, proxy, what was asked for, what decided. */
  readonly cells: readonly string[];
}

function requestEntry(story: Story): Entry {
  const { proxy, record, cause } = story.decisive;
  const cells = [story.requestId || "-", proxy, requestLine(record), cause.objects[0] ?? cause.why];
  return { startedMs: record.startTimeMs, value: summary(story), cells };
}

function connectionEntry(story: ConnectionStory): Entry {
  const { proxy, record, cause } = story;
  const cells = [String(record.connectionId), proxy, connectionLine(record), cause.objects[0] ?? cause.why];
  return { startedMs: record.startTimeMs, value: connectionSummary(story), cells };
}

function summary({ requestId, hops: [first], decisive: { proxy, record, cause } }: Story) {
  const { startTimeMs, method, authority, path, status } = first?.record ?? record;
  const { flags, details } = record;
  return { requestId, startTimeMs, proxy, method, authority, path, status, flags, details, ...cause };
}

function objectsOf({ hops }: Story): readonly string[] {
  return hops.flatMap(({ record: { route, forward }, cause }) => [
    ...cause.objects,
    ...[route?.origin, forward?.origin].flatMap((origin) => (origin === undefined ? [] : [objectOf(origin)])),
  ]);
}

function storyValue({ requestId, hops, decisive }: Story, place: (object: string) => string | undefined) {
  const withPlaces = ({ cause, ...hop }: ExplainedHop) => ({
    ...hop,
    why: cause.why,
    objects: cause.objects.map((object) => ({ object, place: place(object) ?? null })),
    next: cause.next ?? null,
  });
  const { proxy, record, ...cause } = withPlaces(decisive);
  return {
    requestId,
    status: record.status,
    because: { proxy, details: record.details, ...cause },
    hops: hops.map(withPlaces),
  };
}
