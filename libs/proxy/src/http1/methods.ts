import type { Http1Head } from "./head.ts";

/** Methods that an HTTP/1 codec of Envoy's knows; it has MSEARCH, not M-SEARCH. @see RFC 9110 §16.1 */
export const KNOWN_METHODS: readonly string[] = (
  "ACL BIND CHECKOUT CONNECT COPY DELETE GET HEAD LINK LOCK MERGE MKACTIVITY MKCALENDAR MKCOL MOVE MSEARCH NOTIFY OPTIONS PATCH " +
  "POST PROPFIND PROPPATCH PURGE PUT QUERY REBIND REPORT SEARCH SOURCE SUBSCRIBE TRACE UNBIND UNLINK UNLOCK UNSUBSCRIBE"
).split(" ");
const KNOWN: ReadonlySet<string> = new Set(KNOWN_METHODS);

/**
 * Whether a request of HTTP/1 has one of the methods that are taken where others are not wanted. They are case-sensitive.
 * @see envoy.config.core.v3.Http1ProtocolOptions, allow_custom_methods
 */
export function isKnownMethod(head: Http1Head): boolean {
  return head.methodIs("GET") || head.methodIs("POST") || KNOWN.has(head.methodText);
}
