import {
  type ConnectionHop,
  type ConnectionStory,
  connectionStoryOf,
  connectionStoryText,
  objectOf,
} from "@lateen/simulate";
import type { Cli } from "../cli.ts";
import { usageError } from "../errors.ts";
import type { PlaceOfObject } from "../offline/mesh-objects.ts";
import { type OutputFormat, printResult } from "../output/format.ts";
import { placesOf } from "./places.ts";

/** Those that are meant by an id or its beginning. */
export function connectionsMeant(hops: readonly ConnectionHop[], id: string): readonly ConnectionHop[] {
  const exact = hops.filter((hop) => hasId([hop], id));
  return exact.length > 0 ? exact : hops;
}

/** Whether one of them has this very id. */
export function hasId(hops: readonly ConnectionHop[], id: string): boolean {
  return hops.some(({ record }) => [record.connectionId, ...record.earlierIds].some((one) => String(one) === id));
}

/**
 * Tells why a connection came to nothing.
 * @throws LTN7501 when the id is the beginning of several.
 */
export async function explainConnection(
  cli: Cli,
  { hops, id }: { readonly hops: readonly ConnectionHop[]; readonly id: string },
  origins: ReadonlyMap<string, PlaceOfObject>,
  format: OutputFormat,
): Promise<void> {
  const [first, ...more] = hops;
  if (first === undefined || more.length > 0) {
    const ids = hops.map(({ record }) => record.connectionId);
    throw usageError(`"${id}" is the beginning of ${ids.length} connection ids`, ids.slice(0, 10).join(", "));
  }
  const story = connectionStoryOf(first);
  const places = await placesOf(cli, objectsOf(story), origins);
  const place = (object: string): string | undefined => places.get(object);
  const { proxy, record, cause } = story;
  const objects = cause.objects.map((object) => ({ object, place: place(object) ?? null }));
  const because = { proxy, details: record.details, why: cause.why, objects, next: cause.next ?? null };
  const value = { connectionId: record.connectionId, because, hops: [{ proxy, record }] };
  await printResult(cli, format, value, () => connectionStoryText(story, place));
}

/** An element of the list that `lateen explain -o json` prints. */
export function connectionSummary({ proxy, record, cause }: ConnectionStory) {
  const { connectionId, times, startTimeMs, kind, client, destination, flags, details } = record;
  return { connectionId, times, startTimeMs, proxy, kind, client, destination, flags, details, ...cause };
}

function objectsOf({ record: { upstream }, cause }: ConnectionStory): readonly string[] {
  return upstream?.origin === undefined ? cause.objects : [...cause.objects, objectOf(upstream.origin)];
}
