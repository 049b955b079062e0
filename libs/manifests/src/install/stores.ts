import type { Component } from "./component.ts";
import { NAMES, PRIORITY } from "./components.ts";

/** Image of Redis; it is not ours. */
const REDIS_IMAGE = "redis:7.4-alpine";

/** Redis for quotas that several mixers share. It keeps nothing: who loses it counts from zero again. */
export function redis(): Component {
  return {
    name: NAMES.redis,
    app: "redis",
    image: REDIS_IMAGE,
    serviceAccount: NAMES.redis,
    args: [
      "redis-server",
      "--port",
      "6379",
      "--save",
      "",
      "--appendonly",
      "no",
      "--maxmemory",
      "192mb",
      "--protected-mode",
      "no",
    ],
    ports: [{ name: "tcp-redis", port: 6379, from: [NAMES.mixer] }],
    services: [{ name: NAMES.redis, ports: [{ name: "tcp-redis" }] }],
    probes: { ready: { port: 6379 }, live: { port: 6379 } },
    replicas: 1,
    resources: { requests: { cpu: "50m", memory: "64Mi" }, limits: { memory: "256Mi" } },
    volumes: [{ volume: { name: "data", emptyDir: {} }, path: "/data" }],
    outgoing: [],
    priorityClass: PRIORITY,
    podAnnotations: { "prometheus.io/scrape": "false" },
    graceSeconds: 10,
  };
}
