import type { ServerResponse } from "node:http";
import { shown } from "./api-objects.ts";
import type { ApiRequest } from "./requests.ts";
import { type ApiResource, resourceId } from "./resource-table.ts";
import { type Matches, selectorOf } from "./selectors.ts";
import type { Json, Storage, StoredEvent } from "./storage.ts";

interface OpenWatch {
  readonly response: ServerResponse;
  readonly end: () => void;
}

const EXPIRED = { kind: "Status", apiVersion: "v1", status: "Failure", reason: "Expired", code: 410 };

/** Watches: changes in order, each once, from a version on. */
export class Watches {
  readonly #storage: Storage;
  readonly #bookmarkMs: number;
  readonly #open = new Set<OpenWatch>();

  constructor(storage: Storage, bookmarkMs: number) {
    this.#storage = storage;
    this.#bookmarkMs = bookmarkMs;
  }

  get size(): number {
    return this.#open.size;
  }

  serve(resource: ApiResource, request: ApiRequest, response: ServerResponse): void {
    const { query, namespace } = request;
    response.writeHead(200, { "content-type": "application/json" });
    response.flushHeaders();
    const from = Number(query.get("resourceVersion") ?? 0);
    const matches = selectorOf(namespace, query.get("labelSelector"), query.get("fieldSelector"));
    let told = from === 0 ? this.#storage.version : from;
    const tell = (type: string, object: Json) => void response.write(`${JSON.stringify({ type, object })}\n`);
    const pass = (event: StoredEvent) => {
      if (event.resource !== resourceId(resource)) return;
      const change = changeOf(event, matches);
      if (change !== undefined) tell(change.type, shown(change.object, resource, request));
    };
    if (from !== 0 && from < this.#storage.compacted) {
      tell("ERROR", { ...EXPIRED, message: `too old resource version: ${from} (${this.#storage.compacted})` });
      response.end();
      return;
    }
    if (from === 0) {
      for (const object of this.#storage.list(resourceId(resource)).filter(matches)) {
        tell("ADDED", shown(object, resource, request));
      }
    } else for (const event of this.#storage.since(from, resourceId(resource))) pass(event);
    const stop = this.#storage.watch(pass);
    const bookmark = () => {
      // Where nothing changes there are no bookmarks either.
      if (this.#storage.version <= told) return;
      told = this.#storage.version;
      tell("BOOKMARK", {
        kind: resource.kind,
        apiVersion: resource.group === "" ? request.version : `${resource.group}/${request.version}`,
        metadata: { resourceVersion: String(told) },
      });
    };
    const bookmarks = query.get("allowWatchBookmarks") === "true" ? setInterval(bookmark, this.#bookmarkMs) : undefined;
    const seconds = Number(query.get("timeoutSeconds") ?? 3600);
    const timeout = setTimeout(() => response.end(), seconds * 1000);
    const watch: OpenWatch = {
      response,
      end: () => {
        stop();
        clearInterval(bookmarks);
        clearTimeout(timeout);
        this.#open.delete(watch);
      },
    };
    this.#open.add(watch);
    response.once("close", watch.end);
  }

  endAll(how: "close" | "reset" | "expired"): void {
    for (const { response, end } of [...this.#open]) {
      end();
      if (how === "expired")
        response.write(`${JSON.stringify({ type: "ERROR", object: { ...EXPIRED, message: "too old" } })}\n`);
      if (how === "reset") response.destroy();
      else response.end();
    }
  }
}

/** An object that begins to match a selector was added to those who watch it, one that ceases to was deleted. */
function changeOf({ before, after }: StoredEvent, matches: Matches) {
  const was = before !== undefined && matches(before);
  const is = after !== undefined && matches(after);
  if (is) return { type: was ? "MODIFIED" : "ADDED", object: after };
  if (!was) return undefined;
  // The last state that matched, with the version of the change.
  const version = (after ?? before).metadata.resourceVersion;
  return { type: "DELETED", object: { ...before, metadata: { ...before.metadata, resourceVersion: version } } };
}
