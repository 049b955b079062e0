import { randomUUID } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import type { ApiRequest } from "./requests.ts";
import { type ApiResource, resourceId } from "./resource-table.ts";
import type { Json, Storage, StoredObject } from "./storage.ts";

/** What becomes a Status object. */
export interface ApiFailure {
  readonly status: number;
  readonly reason: string;
  readonly message: string;
}

export function failure(status: number, reason: string, message: string): ApiFailure & Error {
  return Object.assign(new Error(message), { status, reason });
}

/** An object in the version and the extent that was asked for. */
export function shown(object: StoredObject, resource: ApiResource, request: ApiRequest): Json {
  const apiVersion = resource.group === "" ? request.version : `${resource.group}/${request.version}`;
  if (!request.metadataOnly) return { ...object, apiVersion };
  return { apiVersion: "meta.k8s.io/v1", kind: "PartialObjectMetadata", metadata: object.metadata };
}

type Draft = Record<string, unknown> & { metadata: Record<string, unknown> };

/** Requests about one object. */
export class ApiObjects {
  readonly #storage: Storage;

  constructor(storage: Storage) {
    this.#storage = storage;
  }

  nameOf(resource: ApiResource, namespace: string | undefined, name: string): string {
    return resource.namespaced ? `${namespace ?? "default"}/${name}` : name;
  }

  answer(resource: ApiResource, request: ApiRequest): Json {
    return shown(this.done(resource, request), resource, request);
  }

  /** What is there before a request. */
  before(resource: ApiResource, { verb, namespace, name }: ApiRequest): StoredObject | undefined {
    if (verb === "create") return undefined;
    return this.#storage.get(resourceId(resource), this.nameOf(resource, namespace, name ?? ""));
  }

  /** What a request wants to be there. @returns undefined for one that wants nothing to be there. */
  wanted(resource: ApiResource, request: ApiRequest): Json | undefined {
    const { verb, version, namespace, body = {} } = request;
    if (verb === "delete") return undefined;
    if (verb === "patch") return merged(this.before(resource, request), body) as Json;
    const apiVersion = resource.group === "" ? version : `${resource.group}/${version}`;
    const placed = resource.namespaced ? { namespace: namespace ?? "default" } : {};
    return { apiVersion, kind: resource.kind, ...body, metadata: { ...(body.metadata as object), ...placed } };
  }

  /** Creates or replaces, status included. */
  apply(resource: ApiResource, object: Json): StoredObject {
    const { metadata } = object as { readonly metadata: { readonly name: string; readonly namespace?: string } };
    const at = this.nameOf(resource, metadata.namespace, metadata.name);
    return this.#write(resource, at, object, this.#storage.get(resourceId(resource), at));
  }

  /** Does what a request about one object asks for. */
  done(resource: ApiResource, request: ApiRequest): StoredObject {
    const { verb, name, namespace, subresource, body = {} } = request;
    if (verb === "create") return this.#create(resource, namespace, body);
    const at = this.nameOf(resource, namespace, name ?? "");
    const found = this.#storage.get(resourceId(resource), at);
    if (found === undefined) throw failure(404, "NotFound", `${resource.plural} "${name}" not found`);
    switch (verb) {
      case "get":
        return found;
      case "delete":
        return this.#storage.remove(resourceId(resource), at) ?? found;
      case "update":
        return this.#update(resource, at, found, body, subresource);
      default:
        if (!request.contentType.startsWith("application/merge-patch+json")) {
          throw failure(415, "UnsupportedMediaType", "only merge patches");
        }
        return this.#update(resource, at, found, merged(found, body) as Json, subresource);
    }
  }

  #create(resource: ApiResource, namespace: string | undefined, body: Json): StoredObject {
    const metadata = (body.metadata ?? {}) as Readonly<Record<string, unknown>>;
    const name = metadata.name ?? (metadata.generateName ? `${metadata.generateName}${randomUUID().slice(0, 5)}` : "");
    if (typeof name !== "string" || name === "") throw failure(422, "Invalid", "name or generateName is required");
    if (metadata.resourceVersion) {
      throw failure(500, "", "resourceVersion should not be set on objects to be created");
    }
    const at = this.nameOf(resource, namespace, name);
    if (this.#storage.get(resourceId(resource), at) !== undefined) {
      throw failure(409, "AlreadyExists", `${resource.plural} "${name}" already exists`);
    }
    const { status: _, ...rest } = body;
    const placed = resource.namespaced ? { ...metadata, name, namespace } : { ...metadata, name };
    return this.#write(resource, at, { ...(resource.status ? rest : body), metadata: placed }, undefined);
  }

  #update(
    resource: ApiResource,
    at: string,
    found: StoredObject,
    body: Json,
    subresource: string | undefined,
  ): StoredObject {
    const wanted = (body.metadata as StoredObject["metadata"] | undefined)?.resourceVersion;
    if (wanted !== undefined && wanted !== found.metadata.resourceVersion) {
      throw failure(409, "Conflict", `the object has been modified; please apply your changes to the latest version`);
    }
    const { status: _, ...rest } = body;
    const kept = found.status === undefined ? {} : { status: found.status };
    const whole = resource.status ? { ...rest, ...kept } : body;
    const wantedState = subresource === undefined ? whole : { ...found, status: body.status };
    // Writing what is there already is no change, and nobody is told.
    return isSame(found, wantedState) ? found : this.#write(resource, at, wantedState, found);
  }

  #write(resource: ApiResource, at: string, object: Json, before: StoredObject | undefined): StoredObject {
    const { group, versions, kind } = resource;
    const draft: Draft = structuredClone({ ...object, metadata: { ...(object.metadata as object) } });
    const generation = Number(before?.metadata.generation ?? 0);
    const same = before !== undefined && JSON.stringify(before.spec) === JSON.stringify(draft.spec);
    return this.#storage.put(resourceId(resource), at, (resourceVersion) => ({
      ...draft,
      apiVersion: group === "" ? (versions[0] ?? "v1") : `${group}/${versions[0]}`,
      kind,
      metadata: {
        creationTimestamp: before?.metadata.creationTimestamp ?? "2026-01-01T00:00:00Z",
        ...draft.metadata,
        name: String(draft.metadata.name),
        ...(resource.namespaced ? { namespace: String(draft.metadata.namespace ?? "default") } : {}),
        uid: before?.metadata.uid ?? randomUUID(),
        resourceVersion,
        generation: same ? generation : generation + 1,
      },
    }));
  }
}

/** Whether a write would change nothing; of what the server fills in, any value will do. */
function isSame(found: StoredObject, wanted: Json): boolean {
  const { apiVersion: _, kind: __, metadata, ...rest } = wanted;
  const { apiVersion: ___, kind: ____, metadata: had, ...before } = found;
  const { uid, resourceVersion, generation, creationTimestamp, namespace } = had;
  const filled = { uid, resourceVersion, generation, creationTimestamp, namespace };
  // As JSON, so that what is undefined is not there.
  const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value));
  return isDeepStrictEqual(
    plain({ ...rest, metadata: { ...(metadata as object), ...filled } }),
    plain({ ...before, metadata: had }),
  );
}

/** RFC 7386. */
function merged(target: unknown, patch: unknown): unknown {
  if (typeof patch !== "object" || patch === null || Array.isArray(patch)) return patch;
  const result: Record<string, unknown> =
    typeof target === "object" && target !== null && !Array.isArray(target) ? { ...target } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete result[name];
    else result[name] = merged(result[name], value);
  }
  return result;
}
