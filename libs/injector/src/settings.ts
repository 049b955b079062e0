import { type CaptureOptions, captureOptions } from "@lateen/capture";
import { err, nearestName, ok, type Result } from "@lateen/kernel";
import {
  diagnosticText,
  effectiveProxyConfig,
  IMAGE_TYPE_FORM,
  meshConfigFromText,
  type ProxyDefaults,
} from "@lateen/mesh-model";
import { AnnotationReader } from "./annotation-reader.ts";
import { type InjectionConfig, knownTemplate } from "./config/injection-config.ts";
import { overlaid } from "./config/mesh-settings.ts";
import type { ProxyConfigs } from "./config/proxy-configs.ts";
import { type JsonObject, objectOf, textOf } from "./json.ts";

/** What the annotations of a pod, over the installation's values, say about its sidecar. */
export interface PodSettings {
  readonly templates: readonly string[];
  readonly interception: "REDIRECT" | "NONE";
  /** Annotations that say what is captured, over those of the values; checked. */
  readonly captureAnnotations: Readonly<Record<string, string>>;
  readonly capture: CaptureOptions;
  /** Undefined: the installation's. */
  readonly image: string | undefined;
  readonly imageType: string | undefined;
  /** Requests and limits by annotation; when one is given the installation's do not count. Undefined: none is given. */
  readonly resources: JsonObject | undefined;
  readonly logLevel: string | undefined;
  readonly componentLogLevel: string | undefined;
  readonly agentLogLevel: string | undefined;
  /** ConfigMap with a bootstrap that Envoy merges over its own. */
  readonly bootstrapOverride: string | undefined;
  readonly userVolumes: readonly JsonObject[];
  readonly userVolumeMounts: readonly JsonObject[];
  /** 0: no status port, no probes. */
  readonly statusPort: number;
  readonly readiness: { readonly failureThreshold: number; readonly initialDelay: number; readonly period: number };
  readonly rewriteProbes: boolean;
  readonly prometheusMerge: boolean;
  /** ProxyConfig of the mesh, with what ProxyConfig objects say and that of the pod over it, as written. */
  readonly proxyConfig: JsonObject;
  readonly proxyDefaults: ProxyDefaults;
  readonly discoveryAddress: string;
  readonly hold: boolean;
  /** `sidecar.istio.io/nativeSidecar`. */
  readonly nativeSidecar: boolean | undefined;
  /** `proxy.istio.io/overrides`. */
  readonly overrides: { readonly containers: readonly JsonObject[]; readonly initContainers: readonly JsonObject[] };
  readonly warnings: readonly string[];
}

const LEVELS = ["trace", "debug", "info", "warning", "warn", "error", "critical", "off"] as const;
/** Of sidecar.istio.io: read elsewhere, or by the proxy itself from the annotations' file. */
const STATS = [
  "statsInclusionPrefixes",
  "statsInclusionSuffixes",
  "statsInclusionRegexps",
  "statsHistogramBuckets",
  "statsCompression",
  "statsEvictionInterval",
  "extraStatTags",
].map((name) => `sidecar.istio.io/${name}`);
const KNOWN = [
  ...STATS,
  ...[
    "inject",
    "status",
    "interceptionMode",
    "proxyCPU",
    "proxyCPULimit",
    "proxyMemory",
    "proxyMemoryLimit",
    "proxyImage",
    "proxyImageType",
    "logLevel",
    "componentLogLevel",
    "agentLogLevel",
    "bootstrapOverride",
    "discoveryAddress",
    "userVolume",
    "userVolumeMount",
    "rewriteAppHTTPProbers",
    "nativeSidecar",
    "enableCoreDump",
    "controlPlaneAuthPolicy",
  ].map((name) => `sidecar.istio.io/${name}`),
];

/** What settings depend on of a pod. */
export interface SettledPod {
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

/** Reads all annotations, over what ProxyConfig objects say of the pod. @returns everything that is wrong with them. */
export function podSettings(pod: SettledPod, config: InjectionConfig): Result<PodSettings, readonly string[]> {
  const { annotations } = pod;
  const read = new AnnotationReader(annotations);
  const { values } = config;
  const warnings: string[] = [];
  const image = read.matching("sidecar.istio.io/proxyImage", /^[\w][\w.\-/:@]*$/, "the name of an image");
  const capture = captureOf(annotations, config, read);
  const proxy = proxyConfigOf(read, pod, config);
  if (read.boolean("sidecar.istio.io/enableCoreDump") === true) {
    read.refuse("sidecar.istio.io/enableCoreDump", "cannot be honoured: cores are not dumped");
  }
  const bootstrapOverride = read.matching("sidecar.istio.io/bootstrapOverride", NAME, "the name of a ConfigMap");
  if (bootstrapOverride !== undefined && image === undefined) {
    read.refuse("sidecar.istio.io/bootstrapOverride", "needs an Envoy (sidecar.istio.io/proxyImage)");
  }
  const settings: PodSettings = {
    templates: templatesOf(read, config),
    interception: interceptionOf(read, proxy.written),
    ...capture,
    image,
    imageType: imageTypeOf(read, proxy.written),
    resources: resourcesOf(read),
    logLevel: read.choice("sidecar.istio.io/logLevel", LEVELS),
    componentLogLevel: read.matching("sidecar.istio.io/componentLogLevel", SCOPES, "a list of component:level"),
    agentLogLevel: read.matching("sidecar.istio.io/agentLogLevel", SCOPES, "a list of scope:level"),
    bootstrapOverride,
    userVolumes: read.named("sidecar.istio.io/userVolume") ?? [],
    userVolumeMounts: read.named("sidecar.istio.io/userVolumeMount") ?? [],
    statusPort:
      read.integer("status.sidecar.istio.io/port", 65_535) ?? statusPortOf(proxy.written) ?? values.statusPort,
    readiness: {
      failureThreshold: number(read, "failureThreshold") ?? values.readiness.failureThreshold,
      initialDelay: number(read, "initialDelaySeconds") ?? values.readiness.initialDelay,
      period: number(read, "periodSeconds") ?? values.readiness.period,
    },
    rewriteProbes: read.boolean("sidecar.istio.io/rewriteAppHTTPProbers") ?? values.rewriteProbes,
    prometheusMerge: read.boolean("prometheus.istio.io/merge-metrics") ?? config.mesh.prometheusMerge,
    proxyConfig: proxy.written,
    proxyDefaults: proxy.defaults,
    discoveryAddress: discoveryOf(read, proxy.written, config),
    hold: holdOf(config, proxy.written, proxy.defaults),
    nativeSidecar: read.boolean("sidecar.istio.io/nativeSidecar"),
    overrides: overridesOf(read),
    warnings,
  };
  const ports = "readiness.status.sidecar.istio.io/applicationPorts";
  if (read.matching(ports, /^\s*(\d{1,5}\s*(,\s*\d{1,5}\s*)*)?$/, "a list of ports") !== undefined) {
    warnings.push(`annotation ${ports} has no effect: the readiness of applications is asked by their own probes`);
  }
  for (const name of STATS.filter((each) => annotations[each] !== undefined && image === undefined)) {
    warnings.push(`annotation ${name} has no effect: this proxy always has all of its statistics`);
  }
  warnings.push(...unknownOnes(annotations));
  return read.problems.length > 0 ? err(read.problems) : ok(settings);
}

const NAME = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/;
const SCOPES = /^([\w.-]+:)?[a-z]+(,([\w.-]+:)?[a-z]+)*$/;

function captureOf(annotations: Readonly<Record<string, string>>, config: InjectionConfig, read: AnnotationReader) {
  const merged = { ...config.values.capture, ...annotations };
  const options = captureOptions(merged);
  if (!options.ok) read.problems.push(...options.error.map((problem) => `annotation ${problem}`));
  return { captureAnnotations: merged, capture: options.ok ? options.value : expectDefault() };
}

/** Only used beside a refusal. */
function expectDefault(): CaptureOptions {
  const empty = captureOptions({});
  if (!empty.ok) throw new TypeError("the defaults of capture are not valid");
  return empty.value;
}

function templatesOf(read: AnnotationReader, config: InjectionConfig): readonly string[] {
  const name = "inject.istio.io/templates";
  const names = read
    .text(name)
    ?.split(",")
    .map((word) => word.trim())
    .filter((word) => word !== "");
  for (const each of names ?? []) {
    if (!knownTemplate(config, each)) read.refuse(name, `names the template "${each}", which does not exist here`);
  }
  const chosen = names === undefined || names.length === 0 ? config.defaultTemplates : names;
  return chosen.flatMap((each) => (Object.hasOwn(config.aliases, each) ? (config.aliases[each] ?? []) : [each]));
}

function interceptionOf(read: AnnotationReader, proxyConfig: JsonObject): PodSettings["interception"] {
  const name = "sidecar.istio.io/interceptionMode";
  const mode = read.text(name) ?? proxyConfig.interceptionMode ?? "REDIRECT";
  if (mode === "REDIRECT" || mode === "NONE") return mode;
  read.problems.push(
    mode === "TPROXY"
      ? `annotation ${name}: TPROXY cannot be honoured, use REDIRECT or NONE`
      : `annotation ${name}: "${String(mode).slice(0, 100)}" is not one of REDIRECT, NONE`,
  );
  return "REDIRECT";
}

function resourcesOf(read: AnnotationReader): JsonObject | undefined {
  const of = (cpu: string | undefined, memory: string | undefined) =>
    cpu === undefined && memory === undefined
      ? undefined
      : { ...(cpu === undefined ? {} : { cpu }), ...(memory === undefined ? {} : { memory }) };
  const requests = of(read.quantity("sidecar.istio.io/proxyCPU"), read.quantity("sidecar.istio.io/proxyMemory"));
  const limits = of(
    read.quantity("sidecar.istio.io/proxyCPULimit"),
    read.quantity("sidecar.istio.io/proxyMemoryLimit"),
  );
  if (requests === undefined && limits === undefined) return undefined;
  return { ...(requests === undefined ? {} : { requests }), ...(limits === undefined ? {} : { limits }) };
}

function number(read: AnnotationReader, name: string): number | undefined {
  return read.integer(`readiness.status.sidecar.istio.io/${name}`, 3600);
}

function statusPortOf(proxyConfig: JsonObject): number | undefined {
  const port = proxyConfig.statusPort;
  return typeof port === "number" && port > 0 ? port : undefined;
}

const PROXY_CONFIG = "proxy.istio.io/config";

/** ProxyConfig of mesh, objects and pod together. */
function proxyConfigOf(read: AnnotationReader, pod: SettledPod, { mesh, proxyConfigs }: InjectionConfig) {
  const base = overlaid(mesh.proxyConfig, ofObjects(pod, mesh.config.rootNamespace, proxyConfigs));
  const own = read.map(PROXY_CONFIG);
  // What objects say is not among the defaults that are asked for.
  const none = { written: base, defaults: mesh.config.defaultConfig };
  if (own === undefined) return none;
  const checked = meshConfigFromText(JSON.stringify({ defaultConfig: own }), PROXY_CONFIG, mesh.config);
  if (checked.ok) return { written: overlaid(base, own), defaults: checked.value.defaultConfig };
  for (const { path, message, hint } of checked.error) {
    const short = path.replace(/^defaultConfig\.?/, "");
    const reason = diagnosticText({ path: short, message, ...(hint === undefined ? {} : { hint }) });
    read.problems.push(`annotation ${PROXY_CONFIG}: ${reason}`);
  }
  return none;
}

/** What ProxyConfig objects say of a pod, as it would be written in `defaultConfig`. */
function ofObjects(pod: SettledPod, rootNamespace: string, all: ProxyConfigs): JsonObject {
  const { concurrency, environmentVariables, imageType } = effectiveProxyConfig(all, { ...pod, rootNamespace });
  return {
    ...(concurrency === undefined ? {} : { concurrency }),
    ...(Object.keys(environmentVariables).length === 0 ? {} : { proxyMetadata: environmentVariables }),
    ...(imageType === undefined ? {} : { image: { imageType } }),
  };
}

/** By annotation, else of the ProxyConfig; undefined: the installation's. */
function imageTypeOf(read: AnnotationReader, proxyConfig: JsonObject): string | undefined {
  const own = read.matching("sidecar.istio.io/proxyImageType", IMAGE_TYPE_FORM, "the type of an image");
  if (own !== undefined) return own;
  const type = textOf(objectOf(proxyConfig.image).imageType) ?? "";
  if (type === "") return undefined;
  if (IMAGE_TYPE_FORM.test(type)) return type;
  read.problems.push(`ProxyConfig image.imageType: "${type.slice(0, 100)}" is not the type of an image`);
  return undefined;
}

function discoveryOf(read: AnnotationReader, proxyConfig: JsonObject, { values }: InjectionConfig): string {
  const name = "sidecar.istio.io/discoveryAddress";
  const own = read.matching(name, /^[^\s:/]+:\d{1,5}$/, "host:port");
  const written = proxyConfig.discoveryAddress;
  const inMesh = typeof written === "string" && written !== "" ? written : undefined;
  const remote = values.discoveryAddress;
  return own ?? inMesh ?? (remote === undefined ? "istiod.istio-system.svc:15012" : withPort(remote));
}

function withPort(address: string): string {
  return /:\d+$/.test(address) ? address : `${address}:15012`;
}

/** Applications wait for their proxy unless the pod, the mesh or the values say that they do not. */
function holdOf({ values }: InjectionConfig, written: JsonObject, defaults: ProxyDefaults): boolean {
  if (written.holdApplicationUntilProxyStarts !== undefined) return defaults.holdApplicationUntilProxyStarts;
  return values.hold ?? true;
}

function overridesOf(read: AnnotationReader): PodSettings["overrides"] {
  const name = "proxy.istio.io/overrides";
  const written = read.map(name);
  const list = (field: "containers" | "initContainers"): readonly JsonObject[] => {
    const value = written?.[field] ?? [];
    const items = Array.isArray(value) ? value : undefined;
    const named = items?.filter(
      (item): item is JsonObject => typeof item === "object" && typeof item?.name === "string",
    );
    if (named !== undefined && named.length === items?.length) return named;
    read.refuse(name, `has ${field} that are no list of named containers`);
    return [];
  };
  return { containers: list("containers"), initContainers: list("initContainers") };
}

/** Annotations that look like ours and are not: most likely misspelt. */
function unknownOnes(annotations: Readonly<Record<string, string>>): readonly string[] {
  return Object.keys(annotations)
    .filter((name) => name.startsWith("sidecar.istio.io/") && !KNOWN.includes(name))
    .map((name) => {
      const near = nearestName(name, KNOWN);
      return `annotation ${name} is not known${near === undefined ? "" : `; did you mean ${near}?`}`;
    });
}
