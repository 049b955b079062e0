import type { CaptureOptions, Selection } from "@lateen/capture";
import { compact, type JsonObject } from "../json.ts";
import { PROXY_ID, proxyImage, type TemplateContext } from "./context.ts";
import { plain, proxyMetadata } from "./env.ts";
import { INIT } from "./names.ts";

/**
 * The init container that puts the capture rules in force. It is what `restricted` does not allow: root, with the capabilities NET_ADMIN and
 * NET_RAW, for the moment that it runs.
 */
export function initContainer(context: TemplateContext): JsonObject {
  const { config, settings } = context;
  const { values } = config;
  const env = Object.entries(proxyMetadata(settings.proxyConfig)).map(([name, value]) => plain(name, value));
  return compact({
    name: INIT,
    image: settings.image ?? (settings.imageType === undefined ? values.initImage : proxyImage(context)),
    imagePullPolicy: values.imagePullPolicy,
    args: [
      "istio-iptables",
      ...captureArguments(settings.capture, settings.statusPort),
      "--log_output_level=default:info",
    ],
    env: env.length === 0 ? undefined : env,
    resources: settings.resources ?? values.initResources,
    securityContext: {
      allowPrivilegeEscalation: false,
      capabilities: { add: ["NET_ADMIN", "NET_RAW"], drop: ["ALL"] },
      privileged: false,
      readOnlyRootFilesystem: false,
      runAsGroup: 0,
      runAsNonRoot: false,
      runAsUser: 0,
    },
  });
}

/** The rules as arguments of `istio-iptables`. */
function captureArguments(capture: CaptureOptions, statusPort: number): readonly string[] {
  // Probes and scrapes must reach the status port wherever it is.
  const excluded = new Set([...capture.excludeInboundPorts, ...(statusPort === 0 ? [] : [statusPort])]);
  const optional = (flag: string, values: Selection<string | number>): readonly string[] =>
    values === "*" || values.length > 0 ? [flag, listed(values)] : [];
  return [
    ...["-p", String(capture.outboundPort)],
    ...["-z", String(capture.inboundPort)],
    ...["-u", String(PROXY_ID)],
    ...["-m", "REDIRECT"],
    ...["-i", listed(capture.includeOutboundRanges)],
    ...["-x", listed(capture.excludeOutboundRanges)],
    ...["-b", listed(capture.includeInboundPorts)],
    ...["-d", listed([...excluded])],
    ...optional("-o", capture.excludeOutboundPorts),
    ...optional("-q", capture.includeOutboundPorts),
    ...optional("-k", capture.virtualInterfaces),
    ...optional("-c", capture.excludeInterfaces),
  ];
}

function listed(values: Selection<string | number>): string {
  return values === "*" ? "*" : values.join(",");
}
