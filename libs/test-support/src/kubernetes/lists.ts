import { failure, shown } from "./api-objects.ts";
import type { ApiRequest } from "./requests.ts";
import { type ApiResource, resourceId } from "./resource-table.ts";
import { selectorOf } from "./selectors.ts";
import type { Json, Storage, StoredObject } from "./storage.ts";

interface OpenList {
  readonly version: number;
  readonly rest: readonly StoredObject[];
}

const PAGE = "page-";

/** Lists, in pages of one and the same state. */
export class Lists {
  readonly #storage: Storage;
  readonly #open = new Map<string, OpenList>();
  #count = 0;

  constructor(storage: Storage) {
    this.#storage = storage;
  }

  answer(resource: ApiResource, request: ApiRequest): Json {
    const { query, namespace } = request;
    const token = query.get("continue");
    const limit = Number(query.get("limit") ?? 0);
    const { version, rest } = token === null ? this.#start(resource, request, namespace) : this.#resume(token);
    const items = limit > 0 ? rest.slice(0, limit) : rest;
    const left = rest.slice(items.length);
    const next = left.length === 0 ? undefined : this.#keep({ version, rest: left });
    return {
      apiVersion: resource.group === "" ? request.version : `${resource.group}/${request.version}`,
      kind: request.metadataOnly ? "PartialObjectMetadataList" : `${resource.kind}List`,
      metadata: {
        resourceVersion: String(version),
        ...(next === undefined ? {} : { continue: next }),
        // With a selector nobody counts what is left.
        ...(next === undefined || selects(query) ? {} : { remainingItemCount: left.length }),
      },
      items: items.map((object) => {
        // Items of a list carry neither apiVersion nor kind.
        const { apiVersion: _, kind: __, ...item } = shown(object, resource, request);
        return item;
      }),
    };
  }

  #start(resource: ApiResource, { query }: ApiRequest, namespace: string | undefined): OpenList {
    const matches = selectorOf(namespace, query.get("labelSelector"), query.get("fieldSelector"));
    return { version: this.#storage.version, rest: this.#storage.list(resourceId(resource)).filter(matches) };
  }

  #resume(token: string): OpenList {
    if (!token.startsWith(PAGE)) throw failure(400, "BadRequest", "continue key is not valid");
    const open = this.#open.get(token);
    if (open === undefined || open.version < this.#storage.compacted) {
      throw failure(410, "Expired", "The provided continue parameter is too old");
    }
    return open;
  }

  #keep(list: OpenList): string {
    const token = `${PAGE}${++this.#count}`;
    this.#open.set(token, list);
    return token;
  }
}

function selects(query: URLSearchParams): boolean {
  return Boolean(query.get("labelSelector") || query.get("fieldSelector"));
}
