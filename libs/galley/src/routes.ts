import { LateenError, messageOf } from "@lateen/kernel";
import { encodeObject, type KindName, keyOf, type ResourceKey, resourceKey } from "@lateen/mesh-model";
import type { FastifyPluginAsync } from "fastify";
import type { CommandDocument } from "./decide-commands.ts";
import type { Galley } from "./galley.ts";

interface ApplyBody {
  readonly documents: readonly CommandDocument[];
  readonly takeOver?: boolean;
}
interface DeleteBody {
  readonly objects: readonly { readonly kind: string; readonly namespace: string; readonly name: string }[];
  readonly takeOver?: boolean;
}
interface ObjectsQuery {
  readonly kind?: string;
  readonly namespace?: string;
  readonly name?: string;
}

const string = { type: "string" } as const;
const boolean = { type: "boolean" } as const;
const applySchema = {
  type: "object",
  required: ["documents"],
  properties: {
    documents: {
      type: "array",
      items: { type: "object", required: ["file", "text"], properties: { file: string, text: string } },
    },
    takeOver: boolean,
  },
} as const;
const deleteSchema = {
  type: "object",
  required: ["objects"],
  properties: {
    objects: {
      type: "array",
      items: {
        type: "object",
        required: ["kind", "namespace", "name"],
        properties: { kind: string, namespace: string, name: string },
      },
    },
    takeOver: boolean,
  },
} as const;
const objectsSchema = { type: "object", properties: { kind: string, namespace: string, name: string } } as const;
/** Matches what {@link Galley.apply} takes at most, in UTF-8. */
const BODY_LIMIT = 64 * 1024 * 1024;

/**
 * Galley's HTTP face, for a socket that only the mesh's owner can reach:
 * `POST /config/apply`, `POST /config/delete`, `GET /config/objects?kind=&namespace=&name=`, `GET /config/rejected`.
 * An error is `{error: {code, message, hint}}` with 400 (user) or 503 (system).
 */
export function galleyRoutes(galley: Galley): FastifyPluginAsync {
  return async (app) => {
    app.setErrorHandler((error, _request, reply) => {
      if (error instanceof LateenError) {
        const { code, message, hint } = error;
        return reply.code(error.fault === "system" ? 503 : 400).send({ error: { code, message, hint } });
      }
      const status = statusOf(error);
      return reply.code(status).send({ error: { code: `HTTP${status}`, message: messageOf(error) } });
    });
    app.post<{ Body: ApplyBody }>(
      "/config/apply",
      { schema: { body: applySchema }, bodyLimit: BODY_LIMIT },
      (request) => galley.apply(request.body.documents, { takeOver: request.body.takeOver ?? false }),
    );
    app.post<{ Body: DeleteBody }>("/config/delete", { schema: { body: deleteSchema } }, (request) =>
      galley.remove(request.body.objects.map(toKey), { takeOver: request.body.takeOver ?? false }),
    );
    app.get<{ Querystring: ObjectsQuery }>(
      "/config/objects",
      { schema: { querystring: objectsSchema } },
      async (request) => listObjects(galley, request.query),
    );
    app.get("/config/rejected", async () => ({ revision: galley.revision, rejected: galley.rejected() }));
  };
}

function listObjects(galley: Galley, query: ObjectsQuery) {
  const objects = [];
  for (const { object, origin, ownerFile, revision } of galley.objects().values()) {
    const { name, namespace } = object.metadata;
    if (query.kind !== undefined && query.kind !== object.kind) continue;
    if (query.namespace !== undefined && query.namespace !== namespace) continue;
    if (query.name !== undefined && query.name !== name) continue;
    const key = keyOf(object);
    objects.push({ key, object: encodeObject(object), file: origin.file, line: origin.line, ownerFile, revision });
  }
  objects.sort((a, b) => (a.key < b.key ? -1 : 1));
  return { revision: galley.revision, objects: objects.map(({ key: _, ...rest }) => rest) };
}

/** An unknown kind gives a key that no object has, which is reported as not found. */
function toKey({ kind, namespace, name }: DeleteBody["objects"][number]): ResourceKey {
  return resourceKey(kind as KindName, namespace, name);
}

function statusOf(error: unknown): number {
  const status =
    typeof error === "object" && error !== null && "statusCode" in error ? Number(error.statusCode) : Number.NaN;
  return status >= 400 && status < 600 ? status : 500;
}
