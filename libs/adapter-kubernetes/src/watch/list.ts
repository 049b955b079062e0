import { LateenError } from "@lateen/kernel";
import type { KubernetesApi } from "../client/api.ts";
import { type ApiObject, isApiObject, isFields } from "../client/objects.ts";
import { collectionPath, type ResourceAddress } from "../client/resources.ts";
import { notUnderstood } from "../errors.ts";

export interface ListRequest {
  readonly api: KubernetesApi;
  readonly address: ResourceAddress;
  readonly labelSelector: string | undefined;
  readonly fieldSelector: string | undefined;
  readonly metadataOnly: boolean;
  readonly signal: AbortSignal;
  /** Objects per page; 0: all at once. */
  readonly pageSize: number;
}

const METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

/**
 * Reads a collection page by page, so that no more than one page is in memory as text. Pages that are too large become smaller.
 * @returns the version of the list.
 * @throws LTN6501 with status 410 when the collection changed too much meanwhile.
 */
export async function listPages(list: ListRequest, add: (object: ApiObject) => void): Promise<string> {
  const { api, address, labelSelector, fieldSelector, metadataOnly, signal } = list;
  const path = collectionPath(address);
  let { pageSize } = list;
  let next: string | undefined;
  for (;;) {
    const limit = pageSize === 0 ? undefined : String(pageSize);
    let answer: unknown;
    try {
      answer = await api.request({
        method: "GET",
        path,
        query: { limit, continue: next, labelSelector, fieldSelector },
        ...(metadataOnly ? { accept: METADATA_LIST } : {}),
        signal,
      });
    } catch (error) {
      if (!(error instanceof LateenError && error.code === "LTN6504") || pageSize === 1) throw error;
      pageSize = pageSize === 0 ? 500 : Math.ceil(pageSize / 4);
      continue;
    }
    const page = pageOf(path, answer);
    for (const item of page.items) add(item);
    if (page.next === "") return page.version;
    next = page.next;
  }
}

interface Page {
  readonly items: readonly ApiObject[];
  readonly version: string;
  /** Empty on the last page. */
  readonly next: string;
}

/** Whatever stands between us and the API server may answer anything: what is not a list is no empty one. */
function pageOf(path: string, answer: unknown): Page {
  const wrong = (reason: string) => notUnderstood(`GET ${path}`, reason);
  if (!isFields(answer) || typeof answer.kind !== "string" || !answer.kind.endsWith("List")) throw wrong("not a list");
  const { metadata, items } = answer;
  if (!isFields(metadata) || typeof metadata.resourceVersion !== "string" || metadata.resourceVersion === "") {
    throw wrong("a list without a version");
  }
  const { resourceVersion: version, continue: next } = metadata;
  if (items !== null && items !== undefined && !Array.isArray(items)) throw wrong("items that are no list");
  const objects: readonly unknown[] = items ?? [];
  if (!objects.every(isApiObject)) throw wrong("an item without a name");
  return { items: objects, version, next: typeof next === "string" ? next : "" };
}
