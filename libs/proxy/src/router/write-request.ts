import type { EditList } from "../http1/edit-list.ts";
import type { Http1Head } from "../http1/head.ts";
import { writeHeaders, writeRequestStart } from "../http1/write-head.ts";
import type { Connection } from "../io/connection.ts";

/** The request head an attempt sends. */
export interface UpstreamRequest {
  readonly head: Http1Head;
  readonly requestEdits: EditList;
  /** More header lines with their CRLFs. */
  readonly lines: string;
  /** Value of `upgrade`, when the connection may become a tunnel. */
  readonly upgrade: string | undefined;
}

/**
 * Writes a request head. Framing is the parser's finding, never what arrived: `content-length` was verified and goes as it is,
 * `transfer-encoding` is written anew. As Envoy, a request without content says so unless its method never has any.
 */
export function writeRequestHead(connection: Connection, request: UpstreamRequest): void {
  const { head } = request;
  writeRequestStart(connection, head);
  writeHeaders(connection, head);
  let text = request.requestEdits.lines() + request.lines;
  if (head.chunked) text += "transfer-encoding: chunked\r\n";
  else if (head.contentLength < 0 && request.upgrade === undefined && !head.isBodilessMethod) {
    text += "content-length: 0\r\n";
  }
  if (request.upgrade !== undefined) text += `connection: upgrade\r\nupgrade: ${request.upgrade}\r\n`;
  connection.writeText(`${text}\r\n`);
}
