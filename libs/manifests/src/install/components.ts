import {
  controlAccount,
  DEFAULT_REVISION,
  injectionWebhookOf,
  nameInRevision,
  validationWebhookOf,
} from "@lateen/mesh-model";
import type { Component, Outgoing } from "./component.ts";
import { type Fields, NAMESPACE, type Permissions } from "./objects.ts";
import type { InstallSettings } from "./settings.ts";

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
  nats: "istio-nats",
  redis: "istio-redis",
} as const;

/** The names in one revision. */
export type Names = Readonly<Record<keyof typeof NAMES, string>> & {
  /** By which everybody finds xDS, whatever serves it. */
  readonly discovery: string;
  /** Stands for every replica of galley; `galley` for any of them, as API servers want it of webhooks. */
  readonly galleyReplicas: string;
  /** ConfigMap of the mesh configuration. */
  readonly mesh: string;
  /** ConfigMap of the injection configuration. */
  readonly injection: string;
};

/** What everything is called; in a revision beside the default one the names end in its name. Gateways are of the default revision alone. */
export function namesOf({ revision }: Pick<InstallSettings, "revision">): Names {
  const named = (name: string) => nameInRevision(name, revision);
  const components = Object.fromEntries(
    Object.entries(NAMES).map(([component, name]) => [component, named(name)]),
  ) as Record<keyof typeof NAMES, string>;
  return {
    ...components,
    discovery: named(DISCOVERY),
    galleyReplicas: named("istio-galley-replicas"),
    mesh: named("istio"),
    injection: named("istio-sidecar-injector"),
  };
}

/** By which proxies find xDS in the default revision. */
const DISCOVERY = "istiod";

/** Priority class of the control plane. */
export const PRIORITY = "lateen-control-plane";
/** Nothing in it must last: what lasts is in the API server. */
const STATE_DIR = "/var/lib/lateen";
const RUN_DIR = "/var/run/lateen";
const TOKENS = "/var/run/secrets/tokens";
const ROOT_CERT = "/var/run/secrets/istio";
/** Where the users of a store have what they need to be let in. */
const STORES = "/var/run/secrets/stores";
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

function common(settings: InstallSettings): readonly string[] {
  const { trustDomain } = settings;
  return ["--host=0.0.0.0", `--trust-domain=${trustDomain}`, ...revisionFlag(settings), "--token-review=kubernetes"];
}

function revisionFlag({ revision }: InstallSettings): readonly string[] {
  return revision === DEFAULT_REVISION ? [] : [`--revision=${revision}`];
}

function identity(names: Names): readonly string[] {
  return [
    `--run-dir=${RUN_DIR}`,
    `--token-file=${TOKENS}/istio-token`,
    `--root-cert-file=${ROOT_CERT}/root-cert.pem`,
    `--ca-address=${hostOf(names.citadel)}:8060`,
  ];
}

/** What a user of a store has of the Secret that citadel made for it. */
function storeVolume(name: "nats" | "redis", store: string, file: string): Component["volumes"][number] {
  return {
    volume: { name, secret: { secretName: store, items: [{ key: file, path: file }] } },
    path: `${STORES}/${name}`,
    readOnly: true,
  };
}

/** State and events over NATS. */
function overNats(names: Names) {
  return {
    args: [
      `--nats-url=tls://${hostOf(names.nats)}:4222`,
      `--nats-credentials=${STORES}/nats/credentials`,
      "--nats-credentials-kind=user",
      `--nats-ca=${ROOT_CERT}/root-cert.pem`,
    ],
    volume: storeVolume("nats", names.nats, "credentials"),
    outgoing: { ports: [4222], to: names.nats },
  };
}

function base(component: keyof typeof NAMES, settings: InstallSettings, replicas: number) {
  const name = namesOf(settings)[component];
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

/** @param stores for which it makes Secrets. */
export function citadel(
  settings: InstallSettings,
  permissions: PermissionTable,
  replicas: number,
  stores: readonly string[],
): Component {
  const names = namesOf(settings);
  return {
    ...base("citadel", settings, replicas),
    app: "citadel",
    labels: { istio: "citadel" },
    serviceAccount: controlAccount("citadel", settings.revision),
    permissions: permissions.citadel,
    args: [...common(settings), "--ca-store=kubernetes", "--publish-root", `--store-secrets=${stores.join(",")}`],
    ports: [{ name: "grpc-citadel", port: 8060 }, METRICS],
    services: [
      { name: names.citadel, ports: [{ name: "grpc-citadel", appProtocol: "https" }, { name: METRICS.name }] },
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
function injectionVolumes(names: Names): Component["volumes"] {
  return [
    {
      volume: { name: "inject", configMap: { name: names.injection } },
      path: CONFIG_DIRS.injection,
      readOnly: true,
    },
    { volume: { name: "config", configMap: { name: names.mesh } }, path: CONFIG_DIRS.mesh, readOnly: true },
  ];
}

export function injector(settings: InstallSettings, permissions: PermissionTable, replicas: number): Component {
  const names = namesOf(settings);
  return {
    ...base("injector", settings, replicas),
    app: "sidecar-injector",
    labels: { istio: "sidecar-injector" },
    serviceAccount: controlAccount("sidecar-injector", settings.revision),
    permissions: permissions["sidecar-injector"],
    args: [
      "--host=0.0.0.0",
      `--trust-domain=${settings.trustDomain}`,
      ...revisionFlag(settings),
      ...identity(names),
      `--injection-config=${CONFIG_DIRS.injection}/config`,
      `--values=${CONFIG_DIRS.injection}/values`,
      `--mesh-config=${CONFIG_DIRS.mesh}/mesh`,
      "--config=kubernetes",
      `--webhook=${injectionWebhookOf(settings.revision)}`,
    ],
    ports: [WEBHOOK, METRICS],
    services: [{ name: names.injector, ports: [WEBHOOK_SERVICE, { name: METRICS.name }] }],
    resources: resources("100m", "128Mi", "512Mi"),
    volumes: [...IDENTITY_VOLUMES, ...injectionVolumes(names)],
    outgoing: [API_SERVER, { ports: [8060], to: names.citadel }],
  };
}

export function galley(settings: InstallSettings, permissions: PermissionTable, replicas: number): Component {
  const names = namesOf(settings);
  const nats = overNats(names);
  return {
    ...base("galley", settings, replicas),
    app: "galley",
    labels: { istio: "galley" },
    serviceAccount: controlAccount("galley", settings.revision),
    permissions: permissions.galley,
    args: [
      ...common(settings),
      ...identity(names),
      ...nats.args,
      "--config=kubernetes",
      `--webhook=${validationWebhookOf(settings.revision)}`,
    ],
    ports: [{ name: "grpc-config", port: 9901, from: [names.pilot, names.mixer] }, WEBHOOK, METRICS],
    services: [
      { name: names.galley, ports: [WEBHOOK_SERVICE, { name: METRICS.name }] },
      {
        name: names.galleyReplicas,
        // Only the leader's port is open: clients need the address of every replica, to go to the next.
        headless: true,
        ports: [{ name: "grpc-config", appProtocol: "https" }],
      },
    ],
    resources: resources("100m", "192Mi", "1Gi"),
    volumes: [...IDENTITY_VOLUMES, nats.volume],
    outgoing: [API_SERVER, { ports: [8060], to: names.citadel }, nats.outgoing],
  };
}

export function pilot(
  settings: InstallSettings,
  permissions: PermissionTable,
  replicas: number,
  most?: number,
): Component {
  const names = namesOf(settings);
  const nats = overNats(names);
  return {
    ...base("pilot", settings, replicas),
    ...(most === undefined ? {} : { mostReplicas: most }),
    app: "pilot",
    labels: { istio: "pilot" },
    serviceAccount: controlAccount("pilot", settings.revision),
    permissions: permissions.pilot,
    args: [
      ...common(settings),
      ...identity(names),
      ...nats.args,
      `--galley-address=${hostOf(names.galleyReplicas)}:9901`,
      "--registry=kubernetes",
      `--cluster-id=${settings.clusterName}`,
    ],
    ports: [{ name: "https-dns", port: 15_012 }, { name: "http-debug", port: 15_080 }, METRICS],
    services: [names.discovery, names.pilot].map((name) => ({
      name,
      ports: [{ name: "https-dns", appProtocol: "https" }, { name: METRICS.name }],
    })),
    // 1,000 services and 500 proxies: 0.45 GB after the first sync, 0.55 GB at its height; ten times the services: 1.4 GB.
    resources: resources("500m", "640Mi", "2Gi"),
    volumes: [...IDENTITY_VOLUMES, nats.volume],
    outgoing: [
      API_SERVER,
      { ports: [8060], to: names.citadel },
      { ports: [9901], to: names.galley },
      nats.outgoing,
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
  const names = namesOf(settings);
  const nats = overNats(names);
  return {
    ...base("mixer", settings, replicas),
    ...(most === undefined ? {} : { mostReplicas: most }),
    app: "mixer",
    labels: { istio: "mixer" },
    podAnnotations: scraped(42_422),
    serviceAccount: controlAccount("mixer", settings.revision),
    permissions: permissions.mixer,
    args: [
      ...common(settings),
      ...identity(names),
      ...nats.args,
      `--galley-address=${hostOf(names.galleyReplicas)}:9901`,
      ...(redis
        ? [
            `--redis-url=rediss://lateen@${hostOf(names.redis)}:6379`,
            `--redis-password-file=${STORES}/redis/password`,
            `--redis-ca-file=${ROOT_CERT}/root-cert.pem`,
          ]
        : []),
    ],
    ports: [{ name: "grpc-mixer", port: 9091 }, { name: "prometheus", port: 42_422 }, METRICS],
    services: [
      {
        name: names.mixer,
        // gRPC to proxies that ask it about limits (TLS is by a DestinationRule), where the others are opaque to them.
        ports: [{ name: "grpc-mixer" }, { name: "prometheus" }, { name: METRICS.name }],
      },
    ],
    resources: resources("200m", "192Mi", "1Gi"),
    volumes: [...IDENTITY_VOLUMES, nats.volume, ...(redis ? [storeVolume("redis", names.redis, "password")] : [])],
    outgoing: [
      API_SERVER,
      { ports: [8060], to: names.citadel },
      { ports: [9901], to: names.galley },
      nats.outgoing,
      ...(redis ? [{ ports: [6379], to: names.redis }] : []),
    ],
  };
}

/** All control components in one process. */
export function controlPlane(settings: InstallSettings, permissions: PermissionTable, replicas: number): Component {
  const names = namesOf(settings);
  return {
    ...base("controlPlane", settings, replicas),
    app: "control-plane",
    labels: { istio: "pilot" },
    probes: { ready: { port: 15_080, path: "/ready" }, live: LIVE },
    podAnnotations: scraped(42_422),
    serviceAccount: controlAccount("pilot", settings.revision),
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
      `--mesh-config=${CONFIG_DIRS.mesh}/mesh`,
      `--injection-webhook=${injectionWebhookOf(settings.revision)}`,
      `--validation-webhook=${validationWebhookOf(settings.revision)}`,
    ],
    ports: [
      { name: "https-dns", port: 15_012 },
      { name: "grpc-citadel", port: 8060 },
      { name: "grpc-mixer", port: 9091 },
      // Its own pilot reads configuration in the process; nobody else does.
      { name: "grpc-config", port: 9901, from: [names.controlPlane] },
      { name: "http-debug", port: 15_080 },
      { name: "prometheus", port: 42_422 },
      WEBHOOK,
      METRICS,
    ],
    services: [
      {
        name: names.discovery,
        ports: [
          { name: "https-dns", appProtocol: "https" },
          { name: "grpc-citadel", appProtocol: "https" },
          WEBHOOK_SERVICE,
          { name: METRICS.name },
        ],
      },
      { name: names.mixer, ports: [{ name: "grpc-mixer" }, { name: "prometheus" }] },
    ],
    // 1,000 services and 500 proxies: 0.45 GB after the first sync, 0.55 GB at its height.
    resources: resources("500m", "640Mi", "2Gi"),
    volumes: [
      { volume: { name: "state", emptyDir: { sizeLimit: "1Gi" } }, path: STATE_DIR },
      ...injectionVolumes(names),
    ],
    outgoing: [API_SERVER, { ports: [80, 443] }],
  };
}
