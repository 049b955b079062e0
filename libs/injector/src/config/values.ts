import { type Infer, s } from "@lateen/mesh-model";

const resources = s.object({
  requests: s.map(s.intOrString()),
  limits: s.map(s.intOrString()),
  claims: s.any(),
});
const names = s.array(s.string());
/** Label selectors, as the values and the configuration write them. */
export const selectorsSchema = s.array(
  s.object({
    matchLabels: s.map(s.string()),
    matchExpressions: s.array(
      s.object({
        key: s.required(s.string()),
        operator: s.required(s.oneOf(["In", "NotIn", "Exists", "DoesNotExist"])),
        values: s.array(s.string()),
      }),
    ),
  }),
);
const NO_CNI = "there is no network plugin; capture rules come from an init container";

/** Part `global.proxy` of the values. */
const proxy = s.object({
  autoInject: s.oneOf(["enabled", "disabled"]),
  image: s.string(),
  clusterDomain: s.string(),
  componentLogLevel: s.string(),
  logLevel: s.string(),
  enableCoreDump: s.unsupported(s.boolean(), "cores are not dumped"),
  privileged: s.unsupported(s.boolean(), "the proxy needs no privileges"),
  excludeIPRanges: s.string(),
  excludeInboundPorts: s.string(),
  excludeOutboundPorts: s.string(),
  includeIPRanges: s.string(),
  includeInboundPorts: s.string(),
  includeOutboundPorts: s.string(),
  holdApplicationUntilProxyStarts: s.boolean(),
  lifecycle: s.any(),
  readinessFailureThreshold: s.integer({ min: 1 }),
  readinessInitialDelaySeconds: s.integer({ min: 0 }),
  readinessPeriodSeconds: s.integer({ min: 1 }),
  startupProbe: s.object({ enabled: s.boolean(), failureThreshold: s.integer({ min: 1 }) }),
  resources,
  seccompProfile: s.object({ type: s.string(), localhostProfile: s.string() }),
  statusPort: s.integer({ min: 0, max: 65_535 }),
});

/** The values of an installation that injection depends on. Names and meanings are those of Istio's charts. */
export const valuesSchema = s.object({
  revision: s.string(),
  global: s.object({
    hub: s.string(),
    tag: s.intOrString(),
    variant: s.string(),
    imagePullPolicy: s.oneOf(["", "Always", "IfNotPresent", "Never"]),
    imagePullSecrets: names,
    istioNamespace: s.string(),
    caAddress: s.string(),
    remotePilotAddress: s.string(),
    meshID: s.string(),
    network: s.string(),
    multiCluster: s.object({ clusterName: s.string() }),
    logging: s.object({ level: s.string() }),
    logAsJson: s.boolean(),
    podDNSSearchNamespaces: names,
    proxy,
    proxy_init: s.object({ image: s.string(), resources }),
    sds: s.object({ token: s.object({ aud: s.string() }) }),
    pilotCertProvider: s.string(),
  }),
  pilot: s.object({
    env: s.map(s.any()),
    cni: s.object({ enabled: s.unsupported(s.boolean(), NO_CNI), provider: s.string() }),
  }),
  istio_cni: s.object({ enabled: s.unsupported(s.boolean(), NO_CNI), chained: s.boolean(), provider: s.string() }),
  sidecarInjectorWebhook: s.object({
    alwaysInjectSelector: selectorsSchema,
    neverInjectSelector: selectorsSchema,
    injectedAnnotations: s.map(s.string()),
    rewriteAppHTTPProbe: s.boolean(),
    enableNamespacesByDefault: s.boolean(),
    defaultTemplates: names,
    templates: s.map(s.string()),
  }),
  meshConfig: s.any(),
});

/** As written; what is missing has its default. */
export type WrittenValues = Infer<typeof valuesSchema>;
type Resources = Infer<typeof resources>;

/** What injection reads of the values, with defaults filled in. */
export interface InjectionValues {
  readonly revision: string;
  /** Default `lateen/sidecar:VERSION`. */
  readonly proxyImage: string;
  readonly initImage: string;
  readonly imagePullPolicy: string | undefined;
  readonly imagePullSecrets: readonly string[];
  readonly caAddress: string;
  readonly discoveryAddress: string | undefined;
  readonly clusterDomain: string;
  readonly clusterName: string;
  readonly meshId: string | undefined;
  readonly network: string;
  readonly logLevel: string;
  readonly componentLogLevel: string;
  readonly agentLogLevel: string;
  readonly logAsJson: boolean;
  readonly tokenAudience: string;
  readonly dnsSearches: readonly string[];
  readonly hold: boolean | undefined;
  readonly lifecycle: unknown;
  readonly readiness: { readonly failureThreshold: number; readonly initialDelay: number; readonly period: number };
  /** Undefined: no startup probe. */
  readonly startupFailureThreshold: number | undefined;
  readonly proxyResources: Resources;
  readonly initResources: Resources;
  readonly seccompProfile: { readonly type?: string; readonly localhostProfile?: string };
  readonly statusPort: number;
  readonly rewriteProbes: boolean;
  /** `ENABLE_NATIVE_SIDECARS` of pilot. */
  readonly nativeSidecars: "auto" | "on" | "off";
  /** `ENABLE_LEGACY_FSGROUP_INJECTION` of pilot: pods get fsGroup 1337. Default false: it changes the owner of the pod's volumes. */
  readonly fsGroup: boolean;
  /** Ranges and ports, as the annotations of pods write them. */
  readonly capture: Readonly<Record<string, string>>;
}

/** Image tag when the values name none. */
export const DEFAULT_TAG = "0.1.0";
/** What a sidecar asks for, as Istio's. */
const PROXY_RESOURCES: Resources = {
  requests: { cpu: "100m", memory: "128Mi" },
  limits: { cpu: "2000m", memory: "1024Mi" },
};

/** Fills in the defaults. The values have been checked by {@link valuesSchema}. */
export function completeValues(written: WrittenValues): InjectionValues {
  const { global = {}, pilot = {}, sidecarInjectorWebhook: webhook = {}, revision } = written;
  const { proxy: own = {}, proxy_init: init = {} } = global;
  const startup = own.startupProbe ?? {};
  const namespace = global.istioNamespace || "istio-system";
  return {
    revision: revision || "default",
    proxyImage: imageOf(global, own.image || "sidecar"),
    initImage: imageOf(global, init.image || own.image || "sidecar"),
    imagePullPolicy: global.imagePullPolicy || undefined,
    imagePullSecrets: global.imagePullSecrets ?? [],
    caAddress: global.caAddress || `istio-citadel.${namespace}.svc:8060`,
    discoveryAddress: global.remotePilotAddress || undefined,
    clusterDomain: own.clusterDomain || "cluster.local",
    clusterName: global.multiCluster?.clusterName || "Kubernetes",
    meshId: global.meshID || undefined,
    network: global.network ?? "",
    logLevel: own.logLevel || "warning",
    componentLogLevel: own.componentLogLevel || "misc:error",
    agentLogLevel: global.logging?.level || "default:info",
    logAsJson: global.logAsJson ?? false,
    tokenAudience: global.sds?.token?.aud || "istio-ca",
    dnsSearches: global.podDNSSearchNamespaces ?? [],
    hold: own.holdApplicationUntilProxyStarts,
    lifecycle: own.lifecycle,
    readiness: {
      failureThreshold: own.readinessFailureThreshold ?? 4,
      initialDelay: own.readinessInitialDelaySeconds ?? 0,
      period: own.readinessPeriodSeconds ?? 15,
    },
    startupFailureThreshold: startup.enabled === false ? undefined : (startup.failureThreshold ?? 600),
    proxyResources: own.resources ?? PROXY_RESOURCES,
    initResources: init.resources ?? own.resources ?? PROXY_RESOURCES,
    seccompProfile: own.seccompProfile?.type ? own.seccompProfile : { type: "RuntimeDefault" },
    statusPort: own.statusPort ?? 15_020,
    rewriteProbes: webhook.rewriteAppHTTPProbe ?? true,
    nativeSidecars: switchOf(pilot.env?.ENABLE_NATIVE_SIDECARS) ?? "auto",
    fsGroup: switchOf(pilot.env?.ENABLE_LEGACY_FSGROUP_INJECTION) === "on",
    capture: captureDefaults(own),
  };
}

/** `hub/name:tag[-variant]`; a name with a slash is a whole image. */
export function imageOf(
  { hub = "lateen", tag = DEFAULT_TAG, variant = "" }: { hub?: string; tag?: string | number; variant?: string },
  name: string,
): string {
  if (name.includes("/")) return name;
  return `${hub}/${name}:${tag}${variant === "" ? "" : `-${variant}`}`;
}

function captureDefaults(own: NonNullable<NonNullable<WrittenValues["global"]>["proxy"]>): Record<string, string> {
  const prefix = "traffic.sidecar.istio.io/";
  const entries: [name: string, value: string | undefined][] = [
    ["includeOutboundIPRanges", own.includeIPRanges],
    ["excludeOutboundIPRanges", own.excludeIPRanges],
    ["includeInboundPorts", own.includeInboundPorts],
    ["excludeInboundPorts", own.excludeInboundPorts],
    ["includeOutboundPorts", own.includeOutboundPorts],
    ["excludeOutboundPorts", own.excludeOutboundPorts],
  ];
  return Object.fromEntries(entries.flatMap(([name, value]) => (value ? [[`${prefix}${name}`, value]] : [])));
}

function switchOf(value: unknown): "auto" | "on" | "off" | undefined {
  const text = String(value ?? "").toLowerCase();
  if (text === "true" || text === "1") return "on";
  if (text === "false" || text === "0") return "off";
  return text === "auto" ? "auto" : undefined;
}
