import { type ExplainedHop, objectOf, requestLine, type Story, storyOf, storyText } from "@lateen/simulate";
import type { Cli } from "../cli.ts";
import { notFound, usageError } from "../errors.ts";
import type { ListedObject } from "../get/object-status.ts";
import { MeshClient } from "../mesh/client.ts";
import { type OutputFormat, printResult } from "../output/format.ts";
import { age, table } from "../output/table.ts";
import { originsOf, placesOf } from "./places.ts";
import { remembered, warn } from "./remembered.ts";

/** Records asked of each proxy for one request: one, unless it was retried by the client. */
const MOST_OF_ONE = 100;

/**
 * Tells the story of one request, over all proxies that remember it.
 * @throws LTN7504 when none does, LTN7501 when the id is the beginning of several.
 */
export async function explainRequest(cli: Cli, mesh: string, id: string, format: OutputFormat): Promise<void> {
  const client = new MeshClient(cli, mesh);
  const [{ hops, silent }, { objects }] = await Promise.all([
    remembered(client, id, MOST_OF_ONE),
    client.get<{ readonly objects: readonly ListedObject[] }>("/config/objects"),
  ]);
  warn(cli, silent);
  const exact = hops.filter(({ record }) => record.requestId === id);
  const meant = exact.length > 0 ? exact : hops;
  const ids = [...new Set(meant.map(({ record }) => record.requestId))];
  if (ids.length > 1)
    throw usageError(`"${id}" is the beginning of ${ids.length} request ids`, ids.slice(0, 10).join(", "));
  const story = storyOf(meant);
  if (story === undefined) {
    throw notFound(
      `no proxy remembers request "${id}"`,
      "they remember the latest requests that failed; for others: `lateen explain --record 60`, then send it again",
    );
  }
  const places = await placesOf(cli, objectsOf(story), originsOf(objects));
  const place = (object: string): string | undefined => places.get(object);
  await printResult(cli, format, storyValue(story, place), () => storyText(story, place));
}

/** Lists the latest requests that some proxy remembers, the newest first. */
export async function listFailures(
  cli: Cli,
  { mesh, limit }: { readonly mesh: string; readonly limit: number },
  format: OutputFormat,
): Promise<void> {
  const { hops, silent } = await remembered(new MeshClient(cli, mesh), "", limit);
  warn(cli, silent);
  const byId = Map.groupBy(hops, ({ record }, index) => record.requestId || `none ${index}`);
  const stories = [...byId.values()].flatMap((list) => storyOf(list) ?? []);
  const latest = stories.sort((a, b) => started(b) - started(a)).slice(0, limit);
  await printResult(cli, format, latest.map(summary), () => {
    const now = Date.now();
    if (latest.length === 0) return "no proxy remembers a request that failed\n";
    return table(
      ["AGE", "REQUEST ID", "AT", "REQUEST", "BECAUSE"],
      latest.map((story) => [
        age(now - started(story)),
        story.requestId || "-",
        story.decisive.proxy,
        requestLine(story.decisive.record),
        story.decisive.cause.objects[0] ?? story.decisive.cause.why,
      ]),
    );
  });
}

function started({ decisive }: Story): number {
  return decisive.record.startTimeMs;
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
