import type { Component } from "./component.ts";
import { namesOf, PRIORITY } from "./components.ts";
import type { InstallSettings } from "./settings.ts";

/** Images of the stores; they are not ours. */
const REDIS_IMAGE = "redis:7.4-alpine";
const NATS_IMAGE = "nats:2.10-alpine";

/** Where a store has its Secret and its ConfigMap. */
const SECRETS = "/var/run/secrets/store";
const FILES = "/etc/store";

/** What both stores have in common: one pod that keeps nothing for ever, behind a Service, with a Secret that citadel makes. */
function store(
  name: string,
  app: string,
  port: ComponentPort,
): Omit<Component, "image" | "args" | "resources"> & { readonly volumes: Component["volumes"] } {
  return {
    name,
    app,
    serviceAccount: name,
    ports: [port],
    services: [{ name, ports: [{ name: port.name }] }],
    probes: { ready: { port: port.port }, live: { port: port.port } },
    replicas: 1,
    alone: true,
    volumes: [
      { volume: { name: "data", emptyDir: { sizeLimit: "2Gi" } }, path: "/data" },
      { volume: { name: "secrets", secret: { secretName: name } }, path: SECRETS, readOnly: true },
    ],
    outgoing: [],
    priorityClass: PRIORITY,
    podAnnotations: { "prometheus.io/scrape": "false" },
    graceSeconds: 10,
  };
}

type ComponentPort = Component["ports"][number];

/** Redis for quotas that several mixers share. It keeps nothing: who loses it counts from zero again. TLS only, one user with a password. */
export function redis(settings: InstallSettings): Component {
  const names = namesOf(settings);
  return {
    ...store(names.redis, "redis", { name: "tcp-redis", port: 6379, from: [names.mixer] }),
    image: REDIS_IMAGE,
    args: [
      "redis-server",
      "--port",
      "0",
      "--tls-port",
      "6379",
      "--tls-cert-file",
      `${SECRETS}/tls.crt`,
      "--tls-key-file",
      `${SECRETS}/tls.key`,
      "--tls-auth-clients",
      "no",
      "--aclfile",
      `${SECRETS}/users.acl`,
      "--save",
      "",
      "--appendonly",
      "no",
      "--maxmemory",
      "192mb",
      "--dir",
      "/data",
    ],
    resources: { requests: { cpu: "50m", memory: "64Mi" }, limits: { memory: "256Mi" } },
  };
}

/**
 * NATS between galley and those who follow it. It is never the only copy, so one server with a disk of its pod will do: while it is away
 * configuration comes by gRPC, and galley writes all of it again into one that lost it.
 */
export function nats(settings: InstallSettings): Component {
  const names = namesOf(settings);
  const port = { name: "tcp-nats", port: 4222, from: [names.galley, names.pilot, names.mixer] };
  const made = store(names.nats, "nats", port);
  return {
    ...made,
    image: NATS_IMAGE,
    args: ["nats-server", "--config", `${FILES}/nats.conf`],
    env: [{ name: "NATS_PASSWORD", valueFrom: { secretKeyRef: { name: names.nats, key: "password" } } }],
    files: { "nats.conf": natsConfig(names.nats) },
    volumes: [
      ...made.volumes,
      { volume: { name: "config", configMap: { name: names.nats } }, path: FILES, readOnly: true },
    ],
    resources: { requests: { cpu: "50m", memory: "64Mi" }, limits: { memory: "512Mi" } },
  };
}

const natsConfig = (name: string) => `listen: 0.0.0.0:4222
server_name: ${name}
jetstream { store_dir: /data, max_memory_store: 64MB, max_file_store: 1536MB }
authorization { user: lateen, password: $NATS_PASSWORD }
tls { cert_file: ${SECRETS}/tls.crt, key_file: ${SECRETS}/tls.key, timeout: 5 }
`;
