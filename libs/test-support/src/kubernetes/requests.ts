import type { IncomingMessage } from "node:http";
import type { Json } from "./storage.ts";

/** A request as RBAC and audit logs see it. */
export interface ApiRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly verb: "get" | "list" | "watch" | "create" | "update" | "patch" | "delete";
  /** Empty for the core group. */
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly subresource: string | undefined;
  readonly namespace: string | undefined;
  readonly name: string | undefined;
  readonly token: string | undefined;
  /** Only names, labels and versions were asked for. */
  readonly metadataOnly: boolean;
  readonly contentType: string;
  readonly body: Json | undefined;
}

const VERBS = { POST: "create", PUT: "update", PATCH: "patch", DELETE: "delete" } as const;

/** Reads a request to its end. */
export async function requestOf(message: IncomingMessage): Promise<ApiRequest> {
  const { method = "GET", url = "/", headers } = message;
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString("utf8");
  const { pathname, searchParams: query } = new URL(url, "http://localhost");
  const parts = pathname
    .split("/")
    .filter((part) => part !== "")
    .map(decodeURIComponent);
  const group = parts[0] === "api" ? "" : (parts[1] ?? "");
  const version = (parts[0] === "api" ? parts[1] : parts[2]) ?? "";
  const rest = parts.slice(parts[0] === "api" ? 2 : 3);
  const namespaced = rest[0] === "namespaces" && rest.length > 2;
  const [plural = "", name, subresource] = namespaced ? rest.slice(2) : rest;
  const watches = query.get("watch") === "1" || query.get("watch") === "true";
  const reading = watches ? "watch" : name === undefined ? "list" : "get";
  return {
    method,
    path: pathname,
    query,
    verb: method === "GET" ? reading : (VERBS[method as keyof typeof VERBS] ?? "get"),
    group,
    version,
    plural,
    subresource,
    namespace: namespaced ? rest[1] : undefined,
    name,
    token: /^Bearer (.*)$/.exec(headers.authorization ?? "")?.[1],
    metadataOnly: (headers.accept ?? "").includes("as=PartialObjectMetadata"),
    contentType: headers["content-type"] ?? "",
    body: text === "" ? undefined : (JSON.parse(text) as Json),
  };
}
