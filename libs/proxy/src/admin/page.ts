import type { IncomingMessage, ServerResponse } from "node:http";
import { isIP } from "node:net";
import { protoFieldNames } from "./field-names.ts";

/** A request to the agent's own HTTP faces: all are small, bodiless and answered at once. */
export interface PageRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  /** Whether the client's address is a loopback address. */
  readonly local: boolean;
  /** A web page of another origin sent it, or it names us by a host name; see {@link ServeOptions}. */
  readonly crossSite: boolean;
}
export interface PageResponse {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}
export type Page = (request: PageRequest) => PageResponse | Promise<PageResponse>;

export interface PageEntry {
  readonly methods: readonly string[];
  readonly help: string;
  readonly page: Page;
}
/** Pages by exact path. */
export type Pages = ReadonlyMap<string, PageEntry>;

export function text(body: string, status = 200): PageResponse {
  return { status, contentType: "text/plain; charset=UTF-8", body };
}
export function json(value: unknown): PageResponse {
  return { status: 200, contentType: "application/json", body: `${JSON.stringify(value, null, 1)}\n` };
}
/** Proto JSON with the field names of the .proto files, as Envoy answers. */
export function protoJson(message: unknown): PageResponse {
  return json(protoFieldNames(message));
}
/** Prometheus text format. */
export function metrics(body: string): PageResponse {
  return { status: 200, contentType: "text/plain; version=0.0.4; charset=utf-8", body };
}

export interface ServeOptions {
  /**
   * Answer only requests that name us by an IP address or `localhost` and that no web page of another origin sent. A browser on
   * this machine reaches loopback addresses; without this, any web site could read secrets' metadata or stop the proxy through it
   * (DNS rebinding, cross-site POST).
   */
  readonly guarded: boolean;
}

/** The request listener of a set of pages. */
export function serve(
  pages: Pages,
  options: ServeOptions,
): (request: IncomingMessage, response: ServerResponse) => void {
  return (request, response) => {
    void answer(pages, request, options).then((page) => {
      response.writeHead(page.status, {
        "content-type": page.contentType,
        "content-length": Buffer.byteLength(page.body),
        "cache-control": "no-cache, max-age=0",
        "x-content-type-options": "nosniff",
      });
      response.end(request.method === "HEAD" ? undefined : page.body);
    });
  };
}

async function answer(pages: Pages, request: IncomingMessage, { guarded }: ServeOptions): Promise<PageResponse> {
  request.resume();
  const crossSite = !isOwnOrigin(request);
  if (guarded && crossSite) return text("this interface is not for web pages or other host names\n", 403);
  const url = URL.parse(request.url ?? "/", "http://agent");
  if (url === null) return text("malformed path\n", 400);
  const entry = pages.get(url.pathname);
  if (entry === undefined) return text(`unknown path ${url.pathname}, see /help\n`, 404);
  const method = request.method === "HEAD" ? "GET" : (request.method ?? "GET");
  if (!entry.methods.includes(method)) {
    return text(`method ${method} is not allowed here, use ${entry.methods.join(" or ")}\n`, 405);
  }
  try {
    const local = isLoopback(request.socket.remoteAddress ?? "");
    return await entry.page({ method, path: url.pathname, query: url.searchParams, local, crossSite });
  } catch (error) {
    return text(`${error instanceof Error ? error.message : String(error)}\n`, 500);
  }
}

/** Whether Host is an address literal or localhost, and Origin, when there is one, is the same. */
function isOwnOrigin({ headers }: IncomingMessage): boolean {
  const host = headers.host ?? "";
  const name = host.replace(/:\d+$/, "").replaceAll(/[[\]]/g, "");
  if (name !== "localhost" && isIP(name) === 0) return false;
  if (headers["sec-fetch-site"] === "cross-site") return false;
  return headers.origin === undefined || headers.origin === `http://${host}`;
}

/** 127.0.0.0/8, ::1 and the IPv4-mapped form. */
export function isLoopback(address: string): boolean {
  return address === "localhost" || address === "::1" || /^(::ffff:)?127\.\d+\.\d+\.\d+$/.test(address);
}
