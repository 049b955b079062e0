import type { Span } from "./span.ts";

const SERVER = 2;
const CLIENT = 3;
const ERROR = 2;

/**
 * `opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest` in protobuf. Written by hand: data-path threads carry no code for
 * messages.
 * @see https://github.com/open-telemetry/opentelemetry-proto/blob/main/opentelemetry/proto/trace/v1/trace.proto
 */
export function otlpRequest(spans: readonly Span[], service: string): Uint8Array {
  const resource = message(1, attribute(1, "service.name", service));
  const scope = message(2, ...spans.map((span) => message(2, ...spanFields(span))));
  return Buffer.concat([message(1, resource, scope)]);
}

function spanFields(span: Span): readonly Buffer[] {
  const start = BigInt(Math.round(span.startMs * 1000)) * 1000n;
  const end = start + BigInt(Math.round(span.durationMs * 1000)) * 1000n;
  return [
    bytes(1, Buffer.from(span.traceId.padStart(32, "0"), "hex")),
    bytes(2, Buffer.from(span.spanId, "hex")),
    ...(span.state === "" ? [] : [bytes(3, Buffer.from(span.state))]),
    ...(span.parentId === undefined ? [] : [bytes(4, Buffer.from(span.parentId, "hex"))]),
    bytes(5, Buffer.from(span.name)),
    number(6, span.server ? SERVER : CLIENT),
    fixed(7, start),
    fixed(8, end),
    ...Object.entries(span.tags).map(([key, value]) => attribute(9, key, value)),
    ...(span.failed ? [message(15, number(3, ERROR))] : []),
  ];
}

/** A `KeyValue` with a text. */
function attribute(field: number, key: string, value: string): Buffer {
  return message(field, bytes(1, Buffer.from(key)), message(2, bytes(1, Buffer.from(value))));
}

function message(field: number, ...parts: readonly Buffer[]): Buffer {
  return bytes(field, Buffer.concat(parts));
}

function bytes(field: number, value: Buffer): Buffer {
  return Buffer.concat([varint(field * 8 + 2), varint(value.length), value]);
}

function number(field: number, value: number): Buffer {
  return Buffer.concat([varint(field * 8), varint(value)]);
}

function fixed(field: number, value: bigint): Buffer {
  const out = Buffer.alloc(8);
  out.writeBigUInt64LE(value);
  return Buffer.concat([varint(field * 8 + 1), out]);
}

function varint(value: number): Buffer {
  const out: number[] = [];
  let rest = value;
  while (rest > 0x7f) {
    out.push((rest & 0x7f) | 0x80);
    rest = Math.floor(rest / 128);
  }
  out.push(rest);
  return Buffer.from(out);
}
