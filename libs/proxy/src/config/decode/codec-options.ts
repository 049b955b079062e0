import type {
  Http1ProtocolOptions,
  Http2ProtocolOptions,
  HttpProtocolOptions,
} from "@lateen/proto/envoy/config/core/v3/protocol";
import { join, onlyFields, refuse } from "./fields.ts";

/** Headers of one message; Envoy's own default. */
const HEADERS_COUNT = 100;
const PRESERVE_CASE = "envoy.extensions.http.header_formatters.preserve_case.v3.PreserveCaseFormatterConfig";

/** What is honoured of HTTP/2, or is a limit of Envoy's codec whose counterpart here is fixed. */
export const HTTP2_CODEC: readonly (keyof Http2ProtocolOptions & string)[] = [
  "hpackTableSize",
  "maxConcurrentStreams",
  "initialStreamWindowSize",
  "initialConnectionWindowSize",
  "maxOutboundFrames",
  "maxOutboundControlFrames",
  "maxConsecutiveInboundFramesWithEmptyPayload",
  "maxInboundPriorityFramesPerStream",
  "maxInboundWindowUpdateFramesPerDataFrameSent",
  "overrideStreamErrorOnInvalidHttpMessage",
  "streamErrorOnInvalidHttpMessaging",
  "useOghttp2Codec",
];

/** The number of headers is bounded as Envoy bounds it; another bound cannot be had. */
export function headersCount(options: HttpProtocolOptions, at: string): void {
  if (options.maxHeadersCount !== undefined && options.maxHeadersCount !== HEADERS_COUNT)
    refuse(join(at, "max_headers_count"), `this proxy takes ${HEADERS_COUNT} and nothing else`);
}

/** What the HTTP/1 codec does anyway, or can do. */
export function http1Options(options: Http1ProtocolOptions, at: string): void {
  onlyFields(options, at, [
    "allowAbsoluteUrl",
    "acceptHttp10",
    "headerKeyFormat",
    "enableTrailers",
    "useBalsaParser",
    "allowCustomMethods",
  ]);
  if (options.allowAbsoluteUrl === false) refuse(join(at, "allow_absolute_url"), "this proxy takes absolute URLs");
  headerCase(options, at);
}

/** Names keep the case in which they came, which is one of the formats. */
function headerCase(options: Http1ProtocolOptions, at: string): void {
  const format = options.headerKeyFormat?.headerFormat;
  if (format === undefined) return;
  const path = join(at, "header_key_format");
  if (format.$case === "properCaseWords") refuse(join(path, "proper_case_words"), "not supported by this proxy");
  else if (format.value.typedConfig?.typeUrl.endsWith(`/${PRESERVE_CASE}`) !== true)
    refuse(join(path, "stateful_formatter"), "only the one that preserves the case is supported by this proxy");
}
