import { replies } from "../chain/replies.ts";
import type { LocalReply } from "../chain/spi.ts";
import type { HttpConnectionManagerSpec } from "../config/plan.ts";
import type { EditList } from "../http1/edit-list.ts";
import type { Http1Head } from "../http1/head.ts";
import { K } from "../http1/known-headers.ts";
import { isKnownMethod } from "../http1/methods.ts";
import type { ConnectionInfo } from "../listener/connection-info.ts";
import { mayNeedNormalising, normalisePath } from "./normalise-path.ts";

/** A request while its head is made ready; the results are written into it. */
export interface PreparedRequest {
  readonly head: Http1Head;
  readonly requestEdits: EditList;
  readonly info: ConnectionInfo;
  /** Client address after X-Forwarded-For trust. */
  remoteAddress: string;
  requestId: string;
}

/** What one connection manager does to every request head. */
export interface HeadRules {
  readonly spec: HttpConnectionManagerSpec;
  /** The client is this workload itself: it may steer retries and timeouts through headers. */
  readonly trustsClient: boolean;
  readonly uuid: () => string;
}

/** Headers that steer this proxy; only a trusted client's are honoured, nobody's are forwarded. */
const STEERING = [
  K["x-envoy-internal"],
  K["x-envoy-upstream-rq-timeout-ms"],
  K["x-envoy-upstream-rq-per-try-timeout-ms"],
  K["x-envoy-expected-rq-timeout-ms"],
  K["x-envoy-retry-on"],
  K["x-envoy-retry-grpc-on"],
  K["x-envoy-max-retries"],
  K["x-envoy-retriable-status-codes"],
  K["x-envoy-retriable-header-names"],
  K["x-envoy-hedge-on-per-try-timeout"],
  K["x-envoy-upstream-alt-stat-name"],
  K["x-envoy-ip-tags"],
  K["x-envoy-force-trace"],
] as const;

/** Headers only proxies of the mesh may set: an edge drops them from outside clients. */
const MESH_ONLY = [
  K["x-envoy-decorator-operation"],
  K["x-envoy-original-path"],
  K["x-envoy-peer-metadata"],
  K["x-envoy-peer-metadata-id"],
  K["x-envoy-external-address"],
  K["x-envoy-attempt-count"],
] as const;

/** What path rules decided: go on, refuse, or send the client to the path it should have asked for. */
export type PathVerdict = "ok" | "reject" | { readonly redirect: string };

/** What a head is refused with before anybody looks at routes. HTTP/2 takes every method. */
export function headRefusal(head: Http1Head, spec: HttpConnectionManagerSpec): LocalReply | undefined {
  if (!isKnownMethod(head)) {
    if (head.major === 1 && !spec.customMethods) return replies.unknownMethod;
  } else if (head.methodIs("QUERY") && !head.knownText(K["content-type"])) return replies.queryWithoutType;
  return head.authorityStart === head.authorityEnd ? replies.missingHost : undefined;
}

/**
 * Makes the path what will be judged and forwarded: never empty, normalised by the manager's rules. Also takes the port off the
 * authority when asked to.
 */
export function applyPathRules(head: Http1Head, spec: HttpConnectionManagerSpec, localPort: number): PathVerdict {
  if (spec.stripPortMode !== "none") stripPort(head, spec.stripPortMode === "any" ? undefined : localPort);
  if (head.form === "asterisk") return "ok";
  // `http://host` and `http://host?q` ask for the root (RFC 9112 §3.2.1).
  if (head.pathStart === head.queryStart) head.replacePath(`/${head.pathText}`);
  if (!spec.normalizePath && !spec.mergeSlashes && spec.escapedSlashes === "keep") return "ok";
  if (!mayNeedNormalising(head.bytes, head.pathStart, head.queryStart)) return "ok";
  const verdict = normalisePath(head.pathText, spec);
  switch (verdict.kind) {
    case "same":
      return "ok";
    case "path":
      head.replacePath(verdict.path);
      return "ok";
    case "redirect":
      return { redirect: verdict.path };
    case "reject":
      return "reject";
  }
}

function stripPort(head: Http1Head, only: number | undefined): void {
  const authority = head.authorityText;
  const match = /^(.*):([0-9]+)$/.exec(authority);
  const host = match?.[1];
  if (host === undefined || (host.includes(":") && !host.endsWith("]"))) return;
  if (only === undefined || Number(match?.[2]) === only) head.replaceAuthority(host);
}

/** Sets what every request carries on: forwarded-for, forwarded-proto, request id, client certificate. */
export function prepareRequest(request: PreparedRequest, rules: HeadRules): void {
  const { head, info, requestEdits: edits } = request;
  const { spec } = rules;
  if (!rules.trustsClient) for (const known of STEERING) head.dropKnown(known);
  const forwardedFor = head.has(K["x-forwarded-for"]);
  if (!forwardedFor) request.remoteAddress = info.sourceAddress;
  else if (!spec.useRemoteAddress && spec.xffTrustedHops === 0)
    request.remoteAddress = lastHop(head) ?? info.sourceAddress;
  else request.remoteAddress = trustedAddress(head.knownJoined(K["x-forwarded-for"]) ?? "", spec, info);
  let replaceScheme = !head.has(K["x-forwarded-proto"]);
  if (spec.useRemoteAddress) {
    for (const known of MESH_ONLY) head.dropKnown(known);
    edits.set("x-envoy-external-address", request.remoteAddress);
    const forwarded = head.knownJoined(K["x-forwarded-for"]);
    edits.set("x-forwarded-for", forwarded === undefined ? info.sourceAddress : `${forwarded},${info.sourceAddress}`);
    replaceScheme ||= spec.xffTrustedHops === 0;
  }
  if (replaceScheme) {
    head.dropKnown(K["x-forwarded-proto"]);
    edits.add("x-forwarded-proto", info.secure ? "https" : "http");
  }
  if (spec.forwardedPort) tellPort(request, spec);
  forwardClientCertificate(request, rules);
  setRequestId(request, rules);
}

/** What an untrusted client says of the port does not count. */
function tellPort({ head, requestEdits, info }: PreparedRequest, spec: HttpConnectionManagerSpec): void {
  const edge = spec.useRemoteAddress && spec.xffTrustedHops === 0;
  if (edge || head.textOf("x-forwarded-port") === undefined) {
    requestEdits.set("x-forwarded-port", String(info.destinationPort));
  }
}

function setRequestId(request: PreparedRequest, { spec, uuid }: HeadRules): void {
  const known = request.head.knownText(K["x-request-id"]);
  const edge = spec.useRemoteAddress;
  if (known !== undefined && known !== "" && (!edge || spec.preserveExternalRequestId)) {
    request.requestId = known;
    return;
  }
  if (!spec.generateRequestId) {
    request.requestId = known ?? "";
    return;
  }
  request.head.dropKnown(K["x-request-id"]);
  request.requestId = uuid();
  request.requestEdits.add("x-request-id", request.requestId);
}

function trustedAddress(forwarded: string, spec: HttpConnectionManagerSpec, info: ConnectionInfo): string {
  // With our own address appended one more hop is ours to trust.
  const trusted = spec.useRemoteAddress ? spec.xffTrustedHops - 1 : spec.xffTrustedHops;
  if (trusted < 0) return info.sourceAddress;
  const address = hopFromEnd(forwarded, trusted);
  return /^[0-9a-fA-F:.]{2,45}$/.test(address) ? address : info.sourceAddress;
}

/** Bytes of an address. */
const ADDRESS = new Uint8Array(256);
for (const character of "0123456789abcdefABCDEF:.") ADDRESS[character.charCodeAt(0)] = 1;

/** The last address of the last `x-forwarded-for`; undefined where something else stands there. */
function lastHop(head: Http1Head): string | undefined {
  const { bytes, offsets, nameHashes } = head;
  let index = head.known[K["x-forwarded-for"]] as number;
  const hash = nameHashes[index] as number;
  for (let i = index; i >= 0; i = head.nextText("x-forwarded-for", hash, i + 1)) index = i;
  const first = offsets[index * 4 + 2] as number;
  let end = offsets[index * 4 + 3] as number;
  while (end > first && isBlank(bytes[end - 1] as number)) end--;
  let start = end;
  while (start > first && ADDRESS[bytes[start - 1] as number] !== 0) start--;
  const length = end - start;
  if (length < 2 || length > 45) return undefined;
  let before = start;
  while (before > first && isBlank(bytes[before - 1] as number)) before--;
  if (before > first && bytes[before - 1] !== 44) return undefined;
  return head.text(start, end);
}

function isBlank(byte: number): boolean {
  return byte === 32 || byte === 9;
}

/** Counted from the last one, which is 0; empty when there are not so many. */
function hopFromEnd(forwarded: string, index: number): string {
  if (index > 0)
    return (
      forwarded
        .split(",")
        .at(-1 - index)
        ?.trim() ?? ""
    );
  const comma = forwarded.lastIndexOf(",");
  return comma < 0 ? forwarded : forwarded.slice(comma + 1).trim();
}

/** X-Forwarded-Client-Cert by the manager's mode. @see envoy ForwardClientCertDetails */
function forwardClientCertificate(request: PreparedRequest, rules: HeadRules): void {
  const { head, info } = request;
  const mode = rules.spec.forwardClientCert;
  if (mode === "alwaysForwardOnly") return;
  if (mode === "sanitize" || info.peer === undefined) {
    head.dropKnown(K["x-forwarded-client-cert"]);
    return;
  }
  if (mode === "forwardOnly") return;
  const known = head.knownJoined(K["x-forwarded-client-cert"]);
  const element = clientCertificateElement(info, rules);
  head.dropKnown(K["x-forwarded-client-cert"]);
  const append = mode === "appendForward" && known !== undefined;
  request.requestEdits.set("x-forwarded-client-cert", append ? `${known},${element}` : element);
}

function clientCertificateElement({ peer, localUris = [] }: ConnectionInfo, { spec }: HeadRules): string {
  if (peer === undefined) return "";
  const wanted = spec.setClientCertDetails;
  const parts = [];
  for (const uri of localUris) parts.push(`By=${separable(uri)}`);
  parts.push(`Hash=${peer.hash}`);
  if (wanted.cert) parts.push(`Cert="${encodeURIComponent(peer.pem)}"`);
  if (wanted.subject) parts.push(`Subject="${peer.subject.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`);
  if (wanted.uri) for (const uri of peer.uris) parts.push(`URI=${separable(uri)}`);
  if (wanted.dns) for (const dns of peer.dns) parts.push(`DNS=${separable(dns)}`);
  return parts.join(";");
}

/** A name as it may stand between separators: no certificate can add an element of its own. */
function separable(name: string): string {
  return name.replace(/[,;="\s]/g, encodeURIComponent);
}
