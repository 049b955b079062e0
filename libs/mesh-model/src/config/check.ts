import { codes } from "../errors.ts";
import { checkLocalitySetting } from "../kinds/destination-rule/load-balancer.ts";
import type { Infer } from "../schema/index.ts";
import type { Check } from "../validation/check.ts";
import { checkDuration } from "../validation/common.ts";
import { formatFindings } from "../validation/formats.ts";
import { isDnsLabel, isHostName, isWildcardHost } from "../validation/names.ts";
import { checkTlsSettings } from "../validation/tls.ts";
import { checkProxyHeaders } from "./proxy-headers.ts";
import type { meshConfigSchema } from "./schema.ts";

type Written = Infer<typeof meshConfigSchema>;

const USABLE = ["envoyHttpAls", "envoyFileAccessLog", "prometheus", "zipkin", "opentelemetry"] as const;
/** Kinds of provider that may be defined, as Istio's demo installation does, and not be used. */
const UNUSABLE = [
  "stackdriver",
  "lightstep",
  "datadog",
  "skywalking",
  "envoyOtelAls",
  "envoyTcpAls",
  "envoyExtAuthzHttp",
  "envoyExtAuthzGrpc",
  "sds",
] as const;
const BUILT_IN_PROVIDERS: readonly string[] = ["prometheus", "envoy"];
const FIXED_PORTS = { proxyListenPort: 15_001, proxyInboundListenPort: 15_006 } as const;

/** Rules of the mesh configuration beyond its schema. */
export function checkMeshConfig(config: Written, check: Check): void {
  if (config.trustDomain && !isHostName(config.trustDomain)) {
    check.at("trustDomain").error(`"${config.trustDomain}" is not a trust domain`);
  }
  for (const [index, alias] of (config.trustDomainAliases ?? []).entries()) {
    if (!isHostName(alias)) check.at("trustDomainAliases", index).error(`"${alias}" is not a trust domain`);
  }
  checkLocalitySetting(config.localityLbSetting, check.at("localityLbSetting"));
  if (config.rootNamespace && !isDnsLabel(config.rootNamespace)) {
    check.at("rootNamespace").error(`"${config.rootNamespace}" is not a namespace`);
  }
  for (const [field, port] of Object.entries(FIXED_PORTS) as [keyof typeof FIXED_PORTS, number][]) {
    if (config[field] === undefined || config[field] === port) continue;
    check.at(field).error(`${field} other than ${port} is not supported yet`, { code: codes.unsupported });
  }
  checkTlsSettings(config.meshMTLS, check.at("meshMTLS"));
  checkTlsSettings(config.tlsDefaults, check.at("tlsDefaults"));
  for (const field of ["connectTimeout", "dnsRefreshRate"] as const) checkDuration(config[field], check.at(field));
  checkNotHonoured(config, check);
  checkFormats(config, check);
  checkProxyHeaders(config.defaultConfig?.proxyHeaders, check.at("defaultConfig", "proxyHeaders"));
  checkProviders(config, check);
}

/** Values that ask for what does not happen; their opposites do. */
function checkNotHonoured(config: Written, check: Check): void {
  const tracing = config.defaultConfig?.tracing;
  if (typeof tracing === "object" && tracing !== null && Object.keys(tracing).length > 0) {
    check.at("defaultConfig", "tracing").error("tracing of proxies is not supported: name a provider instead", {
      code: codes.unsupported,
      hint: "use extensionProviders with defaultProviders.tracing, and Telemetry for the sampling",
    });
  }
  if (config.outboundTrafficPolicy?.mode === "ALLOW_ANY_DYNAMIC_DNS") {
    check
      .at("outboundTrafficPolicy", "mode")
      .error(
        "ALLOW_ANY_DYNAMIC_DNS is not supported: unknown destinations are called at the address that the client chose",
        {
          code: codes.unsupported,
          hint: "name the hosts, `*.example.com` too, in a ServiceEntry with resolution DYNAMIC_DNS",
        },
      );
  }
  if (config.verifyCertificateAtClient === false) {
    const message = "servers are always verified: use insecureSkipVerify of a DestinationRule for those that cannot be";
    check.at("verifyCertificateAtClient").error(message, { code: codes.unsupported });
  }
  for (const [index, { hosts = [], settings }] of (config.serviceSettings ?? []).entries()) {
    const at = check.at("serviceSettings", index);
    for (const [place, host] of hosts.entries()) {
      if (!isWildcardHost(host)) at.at("hosts", place).error(`"${host}" is not a host name`);
    }
    if (settings?.clusterLocal === false) {
      const message = "endpoints of other clusters are not known yet: every service is local to its cluster";
      at.at("settings", "clusterLocal").error(message, { code: codes.unsupported });
    }
  }
}

/** One operator that proxies do not know would have them refuse every listener. */
function checkFormats(config: Written, check: Check): void {
  const each = (format: string, at: Check) => {
    for (const { text, known } of formatFindings(format)) {
      if (known === "no")
        at.error(`"${text}" is no operator such as %REQ(name)%`, { hint: `write "%%" for a percent sign` });
      else at.error(`${text} is not supported yet`, { code: codes.unsupported });
    }
  };
  each(config.accessLogFormat ?? "", check.at("accessLogFormat"));
  for (const [index, { envoyFileAccessLog }] of (config.extensionProviders ?? []).entries()) {
    const at = check.at("extensionProviders", index, "envoyFileAccessLog", "logFormat");
    each(envoyFileAccessLog?.logFormat?.text ?? "", at.at("text"));
    for (const [name, format] of Object.entries(envoyFileAccessLog?.logFormat?.labels ?? {})) {
      each(format, at.at("labels", name));
    }
  }
}

/** Statuses are written as text, as in Istio; paths are put before those of requests. */
function checkExtAuthz(provider: NonNullable<Written["extensionProviders"]>[number], check: Check): void {
  for (const type of ["envoyExtAuthzHttp", "envoyExtAuthzGrpc"] as const) {
    const status = provider[type]?.statusOnError;
    if (status === undefined || status === "" || /^[45][0-9]{2}$/.test(status)) continue;
    check.at(type, "statusOnError").error(`"${status}" is not an error status`);
  }
  const prefix = provider.envoyExtAuthzHttp?.pathPrefix;
  if (prefix !== undefined && prefix !== "" && !prefix.startsWith("/")) {
    check.at("envoyExtAuthzHttp", "pathPrefix").error(`"${prefix}" does not begin with "/"`);
  }
}

/** What a log service may ask for, and no proxy of ours sends: they would refuse the listener. */
const UNLOGGED = [
  "filterStateObjectsToLog",
  "additionalRequestHeadersToLog",
  "additionalResponseHeadersToLog",
  "additionalResponseTrailersToLog",
] as const;

/** Kinds of provider that do something for each use. */
const FITTING = {
  accessLogging: ["envoyFileAccessLog", "envoyHttpAls"],
  metrics: ["prometheus"],
  tracing: ["zipkin", "opentelemetry"],
} as const;

function checkProviders(config: Written, check: Check): void {
  const kinds = new Map<string, string>([
    ["prometheus", "prometheus"],
    ["envoy", "envoyFileAccessLog"],
  ]);
  const names = new Set(BUILT_IN_PROVIDERS);
  const unusable = new Set<string>();
  for (const [index, provider] of (config.extensionProviders ?? []).entries()) {
    const at = check.at("extensionProviders", index);
    const types = [...USABLE, ...UNUSABLE].filter((type) => provider[type] !== undefined);
    if (types.length !== 1) {
      at.error(`provider "${provider.name}" needs exactly one of ${[...USABLE, ...UNUSABLE].join(", ")}`, {
        code: codes.conflict,
      });
    }
    if (names.has(provider.name) && !BUILT_IN_PROVIDERS.includes(provider.name)) {
      at.at("name").error(`provider "${provider.name}" is defined twice`, { code: codes.duplicate });
    }
    names.add(provider.name);
    kinds.set(provider.name, types[0] ?? "");
    checkExtAuthz(provider, at);
    for (const field of UNLOGGED) {
      if ((provider.envoyHttpAls?.[field] ?? []).length === 0) continue;
      at.at("envoyHttpAls", field).error(`${field} is not supported yet`, { code: codes.unsupported });
    }
    if (UNUSABLE.some((type) => types.includes(type))) unusable.add(provider.name);
  }
  for (const use of ["accessLogging", "metrics", "tracing"] as const) {
    for (const [index, name] of (config.defaultProviders?.[use] ?? []).entries()) {
      const at = check.at("defaultProviders", use, index);
      if (!names.has(name)) at.error(`provider "${name}" is not defined in extensionProviders`);
      else if (unusable.has(name)) {
        at.error(`provider "${name}" is of a kind that is not supported yet`, { code: codes.unsupported });
      } else if (!(FITTING[use] as readonly string[]).includes(kinds.get(name) ?? "")) {
        at.error(`provider "${name}" is of kind ${kinds.get(name)}; ${use} needs ${FITTING[use].join(" or ")}`);
      }
    }
  }
}
