import { type Metadata, type ServerUnaryCall, status } from "@grpc/grpc-js";
import { err, messageOf, type Result } from "@lateen/kernel";
import type { Caller } from "@lateen/ports";
import type { Authenticator } from "./service.ts";

/** What identifying a caller needs of any kind of call. */
export interface CallFacts {
  readonly metadata: Metadata;
  getAuthContext: ServerUnaryCall<unknown, unknown>["getAuthContext"];
}

/** An error that grpc-js turns into the call's status. */
export function statusError(code: number, details: string): { readonly code: number; readonly details: string } {
  return { code, details };
}

/** The caller of a call; failures are texts that may be shown to the peer. Never throws. */
export async function identify(authenticator: Authenticator, call: CallFacts): Promise<Result<Caller, string>> {
  try {
    return await authenticator.authenticate(uriSansOf(call), bearerOf(call.metadata));
  } catch (error) {
    return err(`authentication failed: ${messageOf(error)}`);
  }
}

/** Code with which an unidentified caller is refused. */
export const UNAUTHENTICATED = status.UNAUTHENTICATED;

function bearerOf(metadata: Metadata): string | undefined {
  const values = metadata.get("authorization");
  const value = values.length === 1 ? values[0] : undefined;
  if (typeof value !== "string" || !/^bearer /i.test(value)) return undefined;
  return value.slice("bearer ".length).trim() || undefined;
}

/** grpc-js hands the certificate out only when its chain was verified. */
function uriSansOf(call: CallFacts): readonly string[] {
  return parseUriSans(call.getAuthContext().sslPeerCertificate?.subjectaltname ?? "");
}

/**
 * URI names in Node's rendering of subjectAltName: `URI:a, DNS:b`; a value with special characters is a JSON string, so that a
 * name cannot smuggle in another one (CVE-2021-44532).
 */
export function parseUriSans(text: string): readonly string[] {
  const uris: string[] = [];
  let at = 0;
  while (at < text.length) {
    const colon = text.indexOf(":", at);
    if (colon < 0) break;
    const kind = text.slice(at, colon);
    let end: number;
    let value: string;
    if (text[colon + 1] === '"') {
      end = closingQuote(text, colon + 2);
      value = unquote(text.slice(colon + 1, end));
    } else {
      const comma = text.indexOf(", ", colon);
      end = comma < 0 ? text.length : comma;
      value = text.slice(colon + 1, end);
    }
    if (kind === "URI") uris.push(value);
    at = end + 2;
  }
  return uris;
}

function closingQuote(text: string, from: number): number {
  for (let at = from; at < text.length; at++) {
    if (text[at] === "\\") at++;
    else if (text[at] === '"') return at + 1;
  }
  return text.length;
}

function unquote(text: string): string {
  try {
    return String(JSON.parse(text));
  } catch {
    return text;
  }
}
