import type { IncomingMessage, ServerResponse } from "node:http";

/** A request to the agent's own HTTP faces: all are small, bodiless and answered at once. */
export interface PageRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  /** Whether the client's address is a loopback address. */
  readonly local: boolean;
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
/** Prometheus text format. */
export function metrics(body: string): PageResponse {
  return { status: 200, contentType: "text/plain; version=0.0.4; charset=utf-8", body };
}

/** The request listener of a set of pages. */
export function serve(pages: Pages): (request: IncomingMessage, response: ServerResponse) => void {
  return (request, response) => {
    void answer(pages, request).then((page) => {
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

async function answer(pages: Pages, request: IncomingMessage): Promise<PageResponse> {
  request.resume();
  const url = new URL(request.url ?? "/", "http://agent");
  const entry = pages.get(url.pathname);
  if (entry === undefined) return text(`unknown path ${url.pathname}, see /help\n`, 404);
  const method = request.method === "HEAD" ? "GET" : (request.method ?? "GET");
  if (!entry.methods.includes(method)) {
    return text(`method ${method} is not allowed here, use ${entry.methods.join(" or ")}\n`, 405);
  }
  try {
    const local = isLoopback(request.socket.remoteAddress ?? "");
    return await entry.page({ method, path: url.pathname, query: url.searchParams, local });
  } catch (error) {
    return text(`${error instanceof Error ? error.message : String(error)}\n`, 500);
  }
}

/** 127.0.0.0/8, ::1 and the IPv4-mapped form. */
export function isLoopback(address: string): boolean {
  return address === "localhost" || address === "::1" || /^(::ffff:)?127\.\d+\.\d+\.\d+$/.test(address);
}
