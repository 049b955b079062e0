import { type Attributes, type CelProgram, compileCel } from "./compile.ts";
import { CelProblem } from "./syntax.ts";
import type { CelType } from "./values.ts";

/**
 * What expressions of Telemetry objects may name: attributes of Envoy, as far as Lateen's proxy knows them.
 * @see https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/advanced/attributes
 */
export const ATTRIBUTE_TYPES = {
  "request.path": "string",
  "request.url_path": "string",
  "request.query": "string",
  "request.host": "string",
  "request.scheme": "string",
  "request.method": "string",
  "request.headers": "map",
  "request.referer": "string",
  "request.useragent": "string",
  "request.time": "timestamp",
  "request.id": "string",
  "request.protocol": "string",
  "request.duration": "duration",
  "request.size": "int",
  "request.total_size": "int",
  "response.code": "int",
  "response.code_details": "string",
  "response.flags": "int",
  "response.grpc_status": "int",
  "response.headers": "map",
  "response.trailers": "map",
  "response.size": "int",
  "response.total_size": "int",
  "source.address": "string",
  "source.port": "int",
  "destination.address": "string",
  "destination.port": "int",
  "connection.mtls": "bool",
  "connection.requested_server_name": "string",
  "connection.subject_peer_certificate": "string",
  "connection.uri_san_peer_certificate": "string",
  "connection.dns_san_peer_certificate": "string",
  "connection.uri_san_local_certificate": "string",
  "connection.sha256_peer_certificate_digest": "string",
  "connection.termination_details": "string",
  "upstream.address": "string",
  "upstream.port": "int",
  "upstream.local_address": "string",
  "upstream.transport_failure_reason": "string",
  "upstream.request_attempt_count": "int",
  "xds.cluster_name": "string",
  "xds.route_name": "string",
  "xds.listener_direction": "int",
  "downstream_peer.workload": "string",
  "downstream_peer.namespace": "string",
  "downstream_peer.cluster": "string",
  "downstream_peer.service": "string",
  "downstream_peer.revision": "string",
  "downstream_peer.app": "string",
  "downstream_peer.version": "string",
  "upstream_peer.workload": "string",
  "upstream_peer.namespace": "string",
  "upstream_peer.cluster": "string",
  "upstream_peer.service": "string",
  "upstream_peer.revision": "string",
  "upstream_peer.app": "string",
  "upstream_peer.version": "string",
} as const satisfies Readonly<Record<string, CelType>>;

export type AttributeName = keyof typeof ATTRIBUTE_TYPES;
/** How each attribute is read. */
export type AttributeReaders<Facts> = { readonly [Name in AttributeName]: Attributes<Facts>[string]["read"] };

/** All attributes under their names; what is known of peers also under `filter_state.`, as Istio writes it. */
export function attributesOf<Facts>(readers: AttributeReaders<Facts>): Attributes<Facts> {
  return Object.fromEntries(
    (Object.keys(ATTRIBUTE_TYPES) as AttributeName[]).flatMap((name) => {
      const attribute = { type: ATTRIBUTE_TYPES[name], read: readers[name] };
      const names = /^(?:up|down)stream_peer\./.test(name) ? [name, `filter_state.${name}`] : [name];
      return names.map((spelling) => [spelling, attribute] as const);
    }),
  );
}

/** Types without readers, to judge expressions by. */
const UNREAD: Attributes<undefined> = attributesOf(
  Object.fromEntries(
    Object.keys(ATTRIBUTE_TYPES).map((name) => [name, () => undefined]),
  ) as unknown as AttributeReaders<undefined>,
);

/** What an expression is for: a condition, or the text of a label. */
export type CelUse = "condition" | "label";
const RESULTS: Readonly<Record<CelUse, readonly CelType[]>> = {
  condition: ["bool", "any"],
  label: ["string", "int", "double", "bool", "timestamp", "duration", "any"],
};

/** Compiles for a use. @throws CelProblem also when the result is of no type for it. */
export function compileFor<Facts>(use: CelUse, text: string, attributes: Attributes<Facts>): CelProgram<Facts> {
  const program = compileCel(text, attributes);
  if (!RESULTS[use].includes(program.type)) throw new CelProblem(`it gives a ${program.type}, which is no ${use}`);
  return program;
}

/** Why a text cannot be evaluated for its use, with the attributes of proxies; undefined: it can. */
export function celProblem(text: string, use: CelUse): string | undefined {
  try {
    compileFor(use, text, UNREAD);
    return undefined;
  } catch (error) {
    if (error instanceof CelProblem) return error.message;
    throw error;
  }
}
