import type { Component, Outgoing } from "./component.ts";
import { type Fields, NAMESPACE, type Permissions } from "./objects.ts";
import type { InstallSettings } from "./settings.ts";
import { INJECTION_WEBHOOK, VALIDATION_WEBHOOK } from "./webhooks.ts";

/** Which component a table of rights is for. */
export type PermittedComponent = "pilot" | "galley" | "citadel" | "mixer" | "sidecar-injector" | "control-plane";
export type PermissionTable = Readonly<Record<PermittedComponent, Permissions>>;

/** Names of Deployments, which are also those of the Services in front of them. */
export const NAMES = {
  pilot: "istio-pilot",
  citadel: "istio-citadel",
  galley: "istio-galley",
  mixer: "istio-mixer",
  injector: "istio-sidecar-injector",
  controlPlane: "istiod",
  ingress: "istio-ingressgateway",
  egress: "istio-egressgateway",
  redis: "istio-redis",
} as const;
/** By which everybody finds xDS, whatever serves it. */
export const DISCOVERY = "istiod";
/** Stands for every replica of galley; `istio-galley` for any of them, as API servers want it of webhooks. */
const GALLEY_REPLICAS = "istio-galley-replicas";

/** Priority class of the control plane. */
export const PRIORITY = "lateen-control-plane";
/** Nothing in it must last: what lasts is in the API server. */
const STATE_DIR = "/var/lib/lateen";
const RUN_DIR = "/var/run/lateen";
const TOKENS = "/var/run/secrets/tokens";
const ROOT_CERT = "/var/run/secrets/istio";
const TOKEN_SECONDS = 43_200;
/** The programs give themselves this long to drain, and a bit is for the rest. */
const GRACE_SECONDS = 65;

/** `name.istio-system.svc`. */
export function hostOf(service: string): string {
  return `${service}.${NAMESPACE}.svc`;
}

/** The API server, wherever it is. */
const API_SERVER: Outgoing = { ports: [443, 6443] };
const METRICS = { name: "http-monitoring", port: 15_014 };
const LIVE = { port: METRICS.port, path: "/metrics" };
const PROBES = { ready: { port: METRICS.port, path: "/ready" }, live: LIVE };

/** Memory and CPU by what was measured (docs/benchmarks.md); a limit of memory only, because a throttled component answers nobody. */
function resources(cpu: string, memory: string, most: string): Fields {
  return { requests: { cpu, memory }, limits: { memory: most } };
}

/** What a component needs to have an identity: a directory of its own, its token, the root certificate. */
export const IDENTITY_VOLUMES: Component["volumes"] = [
  { volume: { name: "run", emptyDir: { medium: "Memory", sizeLimit: "16Mi" } }, path: RUN_DIR },
  {
    volume: {
      name: "istio-token",
      projected: {
        sources: [
          { serviceAccountToken: { audience: "istio-ca", expirationSeconds: TOKEN_SECONDS, path: "istio-token" } },
        ],
      },
    },
    path: TOKENS,
    readOnly: true,
  },
  { volume: { name: "istiod-ca-cert", configMap: { name: "istio-ca-root-cert" } }, path: ROOT_CERT, readOnly: true },
];

function common({ trustDomain }: InstallSettings): readonly string[] {
  return ["--host=0.0.0.0", `--trust-domain=${trustDomain}`, "--token-review=kubernetes"];
}

const IDENTITY = [
  `--run-dir=${RUN_DIR}`,
  `--token-file=${TOKENS}/istio-token`,
  `--root-cert-file=${ROOT_CERT}/root-cert.pem`,
  `--ca-address=${hostOf(NAMES.citadel)}:8060`,
];

function base(component: keyof typeof NAMES, replicas: number) {
  const name = NAMES[component];
  return {
    name,
    replicas,
    priorityClass: PRIORITY,
    graceSeconds: GRACE_SECONDS,
    probes: PROBES,
    podAnnotations: scraped(METRICS.port),
  };
}

/** Where Prometheus reads. */
export function scraped(port: number, path = "/metrics"): Readonly<Record<string, string>> {
  return { "prometheus.io/port": String(port), "prometheus.io/path": path };
}

export function citadel(settings: InstallSettings, permissions: PermissionTable, replicas: number): Component {
  return {
    ...base("citadel", replicas),
    app: "citadel",
    labels: { istio: "citadel" },
    serviceAccount: "istio-citadel-service-account",
    permissions: permissions.citadel,
    args: [...common(settings), "--ca-store=kubernetes", "--publish-root"],
    ports: [{ name: "grpc-citadel", port: 8060 }, METRICS],
    services: [
      { name: NAMES.citadel, ports: [{ name: "grpc-citadel", appProtocol: "https" }, { name: METRICS.name }] },
    ],
    resources: resources("50m", "128Mi", "512Mi"),
    volumes: [],
    outgoing: [API_SERVER],
  };
}

const WEBHOOK = { name: "https-webhook", port: 15_017 };
const WEBHOOK_SERVICE = { name: WEBHOOK.name, port: 443, appProtocol: "https" };
const CONFIG_DIRS = { injection: "/etc/istio/inject", mesh: "/etc/istio/config" };

/** ConfigMaps that injection depends on, as files; the kubelet follows their changes. */
const INJECTION_VOLUMES: Component["volumes"] = [
  {
    volume: { name: "inject", configMap: { name: "istio-sidecar-injector" } },
    path: CONFIG_DIRS.injection,
    readOnly: true,
  },
  { volume: { name: "config", configMap: { name: "istio" } }, path: CONFIG_DIRS.mesh, readOnly: true },
];

export function injector(settings: InstallSettings, permissions: PermissionTable, replicas: number): Component {
  return {
    ...base("injector", replicas),
    app: "sidecar-injector",
    labels: { istio: "sidecar-injector" },
    serviceAccount: "istio-sidecar-injector-service-account",
    permissions: permissions["sidecar-injector"],
    args: [
      "--host=0.0.0.0",
      `--trust-domain=${settings.trustDomain}`,
      ...IDENTITY,
      `--injection-config=${CONFIG_DIRS.injection}/config`,
      `--values=${CONFIG_DIRS.injection}/values`,
      `--mesh-config=${CONFIG_DIRS.mesh}/mesh`,
      `--webhook=${INJECTION_WEBHOOK}`,
    ],
    ports: [WEBHOOK, METRICS],
    services: [{ name: NAMES.injector, ports: [WEBHOOK_SERVICE, { name: METRICS.name }] }],
    resources: resources("100m", "128Mi", "512Mi"),
    volumes: [...IDENTITY_VOLUMES, ...INJECTION_VOLUMES],
    outgoing: [API_SERVER, { ports: [8060], to: NAMES.citadel }],
  };
}

export function galley(settings: InstallSettings, permissions: PermissionTable, replicas: number): Component {
  return {
    ...base("galley", replicas),
    app: "galley",
    labels: { istio: "galley" },
    serviceAccount: "istio-galley-service-account",
    permissions: permissions.galley,
    args: [...common(settings), ...IDENTITY, "--config=kubernetes", `--webhook=${VALIDATION_WEBHOOK}`],
    ports: [{ name: "grpc-config", port: 9901, from: [NAMES.pilot, NAMES.mixer] }, WEBHOOK, METRICS],
    services: [
      { name: NAMES.galley, ports: [WEBHOOK_SERVICE, { name: METRICS.name }] },
      {
        name: GALLEY_REPLICAS,
        // Only the leader's port is open: clients need the address of every replica, to go to the next.
        headless: true,
        ports: [{ name: "grpc-config", appProtocol: "https" }],
      },
    ],
    resources: resources("100m", "192Mi", "1Gi"),
    volumes: IDENTITY_VOLUMES,
    outgoing: [API_SERVER, { ports: [8060], to: NAMES.citadel }],
  };
}

export function pilot(
  settings: InstallSettings,
  permissions: PermissionTable,
  replicas: number,
  most?: number,
): Component {
  return {
    ...base("pilot", replicas),
    ...(most === undefined ? {} : { mostReplicas: most }),
    app: "pilot",
    labels: { istio: "pilot" },
    serviceAccount: "istio-pilot-service-account",
    permissions: permissions.pilot,
    args: [
      ...common(settings),
      ...IDENTITY,
      `--galley-address=${hostOf(GALLEY_REPLICAS)}:9901`,
      "--registry=kubernetes",
      `--cluster-id=${settings.clusterName}`,
    ],
    ports: [{ name: "https-dns", port: 15_012 }, { name: "http-debug", port: 15_080 }, METRICS],
    services: [DISCOVERY, NAMES.pilot].map((name) => ({
      name,
      ports: [{ name: "https-dns", appProtocol: "https" }, { name: METRICS.name }],
    })),
    // 1,000 services and 500 proxies: 0.45 GB after the first sync, 0.55 GB at its height; ten times the services: 1.4 GB.
    resources: resources("500m", "640Mi", "2Gi"),
    volumes: IDENTITY_VOLUMES,
    outgoing: [
      API_SERVER,
      { ports: [8060], to: NAMES.citadel },
      { ports: [9901], to: NAMES.galley },
      // Keys that tokens of users are signed with are where their issuers publish them.
      { ports: [80, 443] },
    ],
  };
}

export function mixer(
  settings: InstallSettings,
  permissions: PermissionTable,
  replicas: number,
  options: { readonly most?: number; readonly redis?: boolean } = {},
): Component {
  const { most, redis = false } = options;
  return {
    ...base("mixer", replicas),
    ...(most === undefined ? {} : { mostReplicas: most }),
    app: "mixer",
    labels: { istio: "mixer" },
    podAnnotations: scraped(42_422),
    serviceAccount: "istio-mixer-service-account",
    permissions: permissions.mixer,
    args: [
      ...common(settings),
      ...IDENTITY,
      `--galley-address=${hostOf(GALLEY_REPLICAS)}:9901`,
      ...(redis ? [`--redis-url=redis://${hostOf(NAMES.redis)}:6379`] : []),
    ],
    ports: [{ name: "grpc-mixer", port: 9091 }, { name: "prometheus", port: 42_422 }, METRICS],
    services: [
      {
        name: NAMES.mixer,
        ports: [{ name: "grpc-mixer", appProtocol: "https" }, { name: "prometheus" }, { name: METRICS.name }],
      },
    ],
    resources: resources("200m", "192Mi", "1Gi"),
    volumes: IDENTITY_VOLUMES,
    outgoing: [
      API_SERVER,
      { ports: [8060], to: NAMES.citadel },
      { ports: [9901], to: NAMES.galley },
      ...(redis ? [{ ports: [6379], to: NAMES.redis }] : []),
    ],
  };
}

/** All control components in one process. */
export function controlPlane(settings: InstallSettings, permissions: PermissionTable, replicas: number): Component {
  return {
    ...base("controlPlane", replicas),
    app: "control-plane",
    labels: { istio: "pilot" },
    probes: { ready: { port: 15_080, path: "/ready" }, live: LIVE },
    podAnnotations: scraped(42_422),
    serviceAccount: "istio-pilot-service-account",
    permissions: permissions["control-plane"],
    args: [
      ...common(settings),
      `--state-dir=${STATE_DIR}`,
      "--config=kubernetes",
      "--registry=kubernetes",
      "--ca-store=kubernetes",
      "--publish-root",
      `--cluster-id=${settings.clusterName}`,
      `--injection-config=${CONFIG_DIRS.injection}/config`,
      `--values=${CONFIG_DIRS.injection}/values`,
      `--injection-webhook=${INJECTION_WEBHOOK}`,
      `--validation-webhook=${VALIDATION_WEBHOOK}`,
    ],
    ports: [
      { name: "https-dns", port: 15_012 },
      { name: "grpc-citadel", port: 8060 },
      { name: "grpc-mixer", port: 9091 },
      // Its own pilot reads configuration in the process; nobody else does.
      { name: "grpc-config", port: 9901, from: [NAMES.controlPlane] },
      { name: "http-debug", port: 15_080 },
      { name: "prometheus", port: 42_422 },
      WEBHOOK,
      METRICS,
    ],
    services: [
      {
        name: DISCOVERY,
        ports: [
          { name: "https-dns", appProtocol: "https" },
          { name: "grpc-citadel", appProtocol: "https" },
          WEBHOOK_SERVICE,
          { name: METRICS.name },
        ],
      },
      { name: NAMES.mixer, ports: [{ name: "grpc-mixer", appProtocol: "https" }, { name: "prometheus" }] },
    ],
    // 1,000 services and 500 proxies: 0.45 GB after the first sync, 0.55 GB at its height.
    resources: resources("500m", "640Mi", "2Gi"),
    volumes: [{ volume: { name: "state", emptyDir: { sizeLimit: "1Gi" } }, path: STATE_DIR }, ...INJECTION_VOLUMES],
    outgoing: [API_SERVER, { ports: [80, 443] }],
  };
}
