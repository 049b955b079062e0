import type { MeshConfig } from "@lateen/mesh-model";
import type { Http1ProtocolOptions } from "@lateen/proto/envoy/config/core/v3/protocol";

/** Of the message nothing but its type is needed: it has no fields. */
const PRESERVE_CASE =
  "type.googleapis.com/envoy.extensions.http.header_formatters.preserve_case.v3.PreserveCaseFormatterConfig";

/** HTTP/1.1 with names of headers as they came where that is asked for; else in lower case, as Envoy writes them. */
export function http1Options(preserve: boolean): Parameters<typeof Http1ProtocolOptions.fromPartial>[0] {
  if (!preserve) return {};
  const value = { name: "preserve_case", typedConfig: { typeUrl: PRESERVE_CASE, value: Buffer.alloc(0) } };
  return { headerKeyFormat: { headerFormat: { $case: "statefulFormatter", value } } };
}

/** Whether proxies with these settings keep the case of names. */
export function preservesCase({ proxyHeaders }: Pick<MeshConfig["defaultConfig"], "proxyHeaders">): boolean {
  return proxyHeaders?.preserveHttp1HeaderCase ?? false;
}
