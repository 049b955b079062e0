import { compact, type JsonObject } from "../json.ts";
import { proxyImage, restricted, type TemplateContext } from "./context.ts";
import { proxyEnv } from "./env.ts";
import { initContainer } from "./init.ts";
import { PROXY } from "./names.ts";
import { proxyMounts, proxyVolumes } from "./volumes.ts";

/** What an application's pod gets: the proxy, the init container with the capture rules, the volumes. */
export function sidecarTemplate(context: TemplateContext): JsonObject {
  const { native, settings, config } = context;
  const proxy = proxyContainer(context, "sidecar");
  const rules = settings.interception === "NONE" ? [] : [initContainer(context)];
  const init = native ? [...rules, { ...proxy, restartPolicy: "Always" }] : rules;
  return podPart(context, {
    ...(init.length === 0 ? {} : { initContainers: init }),
    containers: native ? [] : [proxy],
    ...(config.values.fsGroup ? { securityContext: { fsGroup: 1337 } } : {}),
  });
}

/** A gateway: the proxy alone, at the edge. Its ports below 1024 need no privileges. */
export function gatewayTemplate(given: TemplateContext): JsonObject {
  const context: TemplateContext = { ...given, settings: { ...given.settings, interception: "NONE" } };
  return podPart(context, {
    containers: [proxyContainer(context, "router")],
    securityContext: { sysctls: [{ name: "net.ipv4.ip_unprivileged_port_start", value: "0" }] },
  });
}

/** Volumes, pull secrets and DNS are the same for all templates. */
export function podPart(context: TemplateContext, spec: JsonObject): JsonObject {
  const { imagePullSecrets, dnsSearches } = context.config.values;
  return {
    spec: compact({
      ...spec,
      volumes: proxyVolumes(context),
      imagePullSecrets: imagePullSecrets.length === 0 ? undefined : imagePullSecrets.map((name) => ({ name })),
      dnsConfig: dnsSearches.length === 0 ? undefined : { searches: dnsSearches },
    }),
  };
}

function proxyContainer(context: TemplateContext, role: "sidecar" | "router"): JsonObject {
  const { config, settings } = context;
  const { values } = config;
  return compact({
    name: PROXY,
    image: proxyImage(context),
    imagePullPolicy: values.imagePullPolicy,
    ports: [{ containerPort: 15_090, protocol: "TCP", name: "http-envoy-prom" }],
    args: proxyArguments(context, role),
    lifecycle: values.lifecycle ?? lifecycle(context, role),
    env: proxyEnv(context),
    ...probes(context),
    resources: settings.resources ?? values.proxyResources,
    securityContext: restricted(context),
    volumeMounts: proxyMounts(context),
  });
}

function proxyArguments({ config: { values }, settings }: TemplateContext, role: string): readonly string[] {
  return [
    "proxy",
    role,
    "--domain",
    `$(POD_NAMESPACE).svc.${values.clusterDomain}`,
    `--proxyLogLevel=${settings.logLevel ?? values.logLevel}`,
    `--proxyComponentLogLevel=${settings.componentLogLevel ?? values.componentLogLevel}`,
    `--log_output_level=${settings.agentLogLevel ?? values.agentLogLevel}`,
    ...(values.logAsJson ? ["--log_as_json"] : []),
  ];
}

/** The first minor version of Kubernetes 1.x in which a container can sleep before it is stopped. */
const SLEEP_POSSIBLE = 30;

/**
 * Kubernetes starts the next container when the hook of the one before has returned: so the application waits for its proxy. It stops
 * all containers at the same time as it takes the pod's endpoints away: so the proxy goes on for the time of a drain, in which others
 * hear of that and the application finishes what it has, before it is told to drain itself. A native sidecar is stopped last anyway.
 */
function lifecycle({ native, settings, config }: TemplateContext, role: string): JsonObject | undefined {
  if (native) return undefined;
  const seconds = Math.ceil(settings.proxyDefaults.terminationDrainDurationMs / 1000);
  const sleeps = seconds > 0 && (config.kubernetesMinor ?? SLEEP_POSSIBLE) >= SLEEP_POSSIBLE;
  const hooks = {
    ...(role === "sidecar" && settings.hold ? { postStart: { exec: { command: ["pilot-agent", "wait"] } } } : {}),
    ...(sleeps ? { preStop: { sleep: { seconds } } } : {}),
  };
  return Object.keys(hooks).length === 0 ? undefined : hooks;
}

/** Probes of port 15021. A native sidecar always has one for its start, because the application waits for that one. */
function probes({ settings, config, native }: TemplateContext): JsonObject {
  if (settings.statusPort === 0 && !native) return {};
  const httpGet = { path: "/healthz/ready", port: 15_021 };
  const { initialDelay, period, failureThreshold } = settings.readiness;
  const startup = config.values.startupFailureThreshold ?? (native ? 600 : undefined);
  const readiness = {
    httpGet,
    initialDelaySeconds: initialDelay,
    periodSeconds: period,
    timeoutSeconds: 3,
    failureThreshold,
  };
  return {
    startupProbe:
      startup === undefined
        ? undefined
        : { httpGet, initialDelaySeconds: 0, periodSeconds: 1, timeoutSeconds: 3, failureThreshold: startup },
    readinessProbe: settings.statusPort === 0 ? undefined : readiness,
  };
}
