import type { Span } from "./span.ts";

/** The body of a POST to Zipkin's API, version 2. @see https://zipkin.io/zipkin-api/#/default/post_spans */
export function zipkinJson(spans: readonly Span[]): Uint8Array {
  return Buffer.from(JSON.stringify(spans.map(zipkinSpan)));
}

function zipkinSpan(span: Span): object {
  const ip = span.address.includes(":") ? { ipv6: span.address } : { ipv4: span.address };
  return {
    traceId: span.traceId,
    id: span.spanId,
    ...(span.parentId === undefined ? {} : { parentId: span.parentId }),
    ...(span.shared ? { shared: true } : {}),
    kind: span.server ? "SERVER" : "CLIENT",
    name: span.name,
    timestamp: Math.round(span.startMs * 1000),
    // Zipkin takes 0 for "not known".
    duration: Math.max(1, Math.round(span.durationMs * 1000)),
    localEndpoint: { serviceName: span.service, ...ip, port: span.port },
    tags: span.failed ? { ...span.tags, error: "true" } : span.tags,
  };
}
