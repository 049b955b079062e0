import type { HttpConnectionManagerSpec } from "../config/plan.ts";
import type { EditList } from "../http1/edit-list.ts";
import type { Http1Head } from "../http1/head.ts";
import { K } from "../http1/known-headers.ts";
import type { ConnectionInfo } from "../listener/connection-info.ts";

/** What came of preparing a request head. */
export interface Prepared {
  /** Client address after X-Forwarded-For trust. */
  readonly remoteAddress: string;
  readonly requestId: string;
}

export interface PrepareContext {
  readonly info: ConnectionInfo;
  readonly spec: HttpConnectionManagerSpec;
  readonly localPrincipal: string;
  readonly uuid: () => string;
}

/** Headers only the mesh itself may set: an edge drops them from outside clients (Envoy's internal-request rules). */
const INTERNAL = [
  "x-envoy-internal",
  "x-envoy-upstream-rq-timeout-ms",
  "x-envoy-upstream-rq-per-try-timeout-ms",
  "x-envoy-expected-rq-timeout-ms",
  "x-envoy-retry-on",
  "x-envoy-retry-grpc-on",
  "x-envoy-max-retries",
  "x-envoy-decorator-operation",
  "x-envoy-hedge-on-per-try-timeout",
  "x-envoy-upstream-alt-stat-name",
  "x-envoy-ip-tags",
  "x-envoy-force-trace",
  "x-envoy-original-path",
  "x-envoy-peer-metadata",
  "x-envoy-peer-metadata-id",
] as const;

/** Sets what every request carries on: forwarded-for, forwarded-proto, request id, client certificate. */
export function prepareRequest(head: Http1Head, edits: EditList, context: PrepareContext): Prepared {
  const { info, spec } = context;
  const forwarded = head.knownText(K["x-forwarded-for"]);
  const scheme = info.secure ? "https" : "http";
  let edge = false;
  if (spec.useRemoteAddress) {
    edge = spec.xffTrustedHops === 0;
    const internal = forwarded === undefined && isInternalAddress(info.sourceAddress);
    if (!internal) for (const name of INTERNAL) head.dropKnown(K[name]);
    if (internal) edits.set("x-envoy-internal", "true");
    else edits.set("x-envoy-external-address", info.sourceAddress);
    head.dropKnown(K["x-forwarded-for"]);
    edits.set("x-forwarded-for", forwarded === undefined ? info.sourceAddress : `${forwarded},${info.sourceAddress}`);
    if (edge || !head.has(K["x-forwarded-proto"])) edits.set("x-forwarded-proto", scheme);
  } else if (!head.has(K["x-forwarded-proto"])) edits.set("x-forwarded-proto", scheme);
  forwardClientCertificate(head, edits, context);
  return {
    remoteAddress: trustedAddress(forwarded, context),
    requestId: requestId(head, edits, context, edge),
  };
}

function requestId(head: Http1Head, edits: EditList, context: PrepareContext, edge: boolean): string {
  const { spec } = context;
  const known = head.knownText(K["x-request-id"]);
  if (known !== undefined && (!edge || spec.preserveExternalRequestId)) return known;
  if (!spec.generateRequestId) return known ?? "";
  const fresh = context.uuid();
  edits.set("x-request-id", fresh);
  return fresh;
}

function trustedAddress(forwarded: string | undefined, context: PrepareContext): string {
  const { spec, info } = context;
  if (forwarded === undefined) return info.sourceAddress;
  const hops = forwarded.split(",").map((hop) => hop.trim());
  // With our own address appended one more hop is ours to trust.
  const trusted = spec.useRemoteAddress ? spec.xffTrustedHops - 1 : spec.xffTrustedHops;
  if (trusted < 0) return info.sourceAddress;
  return hops[hops.length - 1 - trusted] ?? info.sourceAddress;
}

function isInternalAddress(address: string): boolean {
  return /^(10\.|127\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.|::1$|f[cd])/i.test(address);
}

/** X-Forwarded-Client-Cert by the manager's mode. @see envoy ForwardClientCertDetails */
function forwardClientCertificate(head: Http1Head, edits: EditList, context: PrepareContext): void {
  const { info, spec } = context;
  const mode = spec.forwardClientCert;
  if (mode === "alwaysForwardOnly") return;
  const name = "x-forwarded-client-cert";
  const known = head.knownText(K[name]);
  if (mode === "sanitize" || info.peer === undefined) {
    if (known !== undefined) head.dropKnown(K[name]);
    return;
  }
  if (mode === "forwardOnly") return;
  const element = clientCertificateElement(context);
  head.dropKnown(K[name]);
  edits.set(name, mode === "appendForward" && known !== undefined ? `${known},${element}` : element);
}

function clientCertificateElement(context: PrepareContext): string {
  const { peer } = context.info;
  const wanted = context.spec.setClientCertDetails;
  if (peer === undefined) return "";
  const parts = [];
  if (context.localPrincipal !== "") parts.push(`By=${context.localPrincipal}`);
  parts.push(`Hash=${peer.hash}`);
  if (wanted.cert) parts.push(`Cert="${encodeURIComponent(peer.pem)}"`);
  if (wanted.subject) parts.push(`Subject="${peer.subject.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`);
  if (wanted.uri) for (const uri of peer.uris) parts.push(`URI=${uri}`);
  if (wanted.dns) for (const dns of peer.dns) parts.push(`DNS=${dns}`);
  return parts.join(";");
}
