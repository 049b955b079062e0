import { STATUS_CODES } from "node:http";
import type { UpstreamRequest } from "../http/streams.ts";
import type { Connection } from "../io/connection.ts";
import type { Http1Head } from "./head.ts";
import { K } from "./known-headers.ts";

/** What is copied byte by byte; a call out of JavaScript takes as long. */
const SMALL_COPY = 32;
const statusLines: readonly (Buffer | undefined)[] = buildStatusLines();

function buildStatusLines(): (Buffer | undefined)[] {
  const lines: (Buffer | undefined)[] = new Array<Buffer | undefined>(1000).fill(undefined);
  for (const [code, reason] of Object.entries(STATUS_CODES)) {
    lines[Number(code)] = Buffer.from(`HTTP/1.1 ${code} ${reason ?? ""}\r\n`, "latin1");
  }
  return lines;
}

/** `HTTP/1.1 200 OK` with its CRLF; reasons are the registered ones, an upstream's own is not passed on. */
export function writeStatusLine(connection: Connection, status: number): void {
  const line = statusLines[status];
  if (line === undefined) connection.writeText(`HTTP/1.1 ${status} \r\n`);
  else copyTo(connection, line, 0, line.length);
}

/** Writes all headers that are not marked dropped, as they came, in as few copies as possible. */
export function writeHeaders(connection: Connection, head: Http1Head): void {
  const { offsets, drop, count } = head;
  let i = 0;
  while (i < count) {
    if (drop[i] !== 0) {
      i++;
      continue;
    }
    let last = i + 1;
    while (last < count && drop[last] === 0) last++;
    // Lines that are only for reading stand behind the head.
    const end = last < count ? Math.min(offsets[last * 4] as number, head.length - 2) : head.length - 2;
    copyTo(connection, head.bytes, offsets[i * 4] as number, end);
    i = last;
  }
}

/** Request line and `host`. The Host header is left in place when nothing replaced it. */
export function writeRequestStart(connection: Connection, head: Http1Head): void {
  const bytes = head.bytes;
  copyTo(connection, bytes, head.methodStart, head.methodEnd);
  const first = head.pathStart === head.pathEnd ? 0 : bytes[head.pathStart];
  connection.writeText(first === 47 || first === 42 ? " " : " /");
  copyTo(connection, bytes, head.pathStart, head.pathEnd);
  const host = head.known[K.host] as number;
  if (host >= 0 && head.offsets[host * 4 + 2] === head.authorityStart) {
    connection.writeText(" HTTP/1.1\r\n");
    return;
  }
  if (host >= 0) head.drop[host] = 1;
  connection.writeText(" HTTP/1.1\r\nhost: ");
  copyTo(connection, bytes, head.authorityStart, head.authorityEnd);
  connection.writeText("\r\n");
}

/**
 * Writes a request head. Framing is the parser's finding, never what arrived: `content-length` was verified and goes as it is,
 * `transfer-encoding` is written anew. As Envoy, a request without content says so unless its method never has any.
 */
export function writeRequestHead(connection: Connection, request: UpstreamRequest): void {
  const { head } = request;
  writeRequestStart(connection, head);
  writeHeaders(connection, head);
  request.requestEdits.write(connection);
  connection.writeText(request.lines);
  if (head.teTrailers) connection.writeText("te: trailers\r\n");
  if (head.chunked) connection.writeText("transfer-encoding: chunked\r\n");
  else if (head.contentLength < 0 && request.upgrade === undefined && !head.isBodilessMethod) {
    connection.writeText("content-length: 0\r\n");
  }
  if (request.upgrade !== undefined) connection.writeText(`connection: upgrade\r\nupgrade: ${request.upgrade}\r\n`);
  connection.writeText("\r\n");
}

function copyTo(connection: Connection, bytes: Uint8Array, start: number, end: number): void {
  if (connection.closed || connection.finished) return;
  const length = end - start;
  if (length >= SMALL_COPY) {
    connection.write(bytes, start, end);
    return;
  }
  const out = connection.io.out;
  out.reserve(connection, length);
  const target = out.buffer;
  let at = out.length;
  for (let i = start; i < end; i++) target[at++] = bytes[i] as number;
  out.length = at;
}

/** Writes a body span as one chunk. */
export function writeChunk(connection: Connection, bytes: Buffer, start: number, end: number): void {
  if (end <= start) return;
  connection.writeText(`${(end - start).toString(16)}\r\n`);
  connection.write(bytes, start, end);
  connection.writeText("\r\n");
}

/** The last chunk with its trailers. */
export function writeLastChunk(connection: Connection, trailers: string): void {
  connection.writeText(trailers === "" ? "0\r\n\r\n" : `0\r\n${trailers}\r\n`);
}
