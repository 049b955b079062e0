import { componentFlags, defineFlags, type FlagValues, identifiedFlags, natsFlags, portFlag } from "@lateen/runtime";

/** Options of mixer on its own. Each replica aggregates what it is sent; Prometheus adds them up. Quotas are shared through Redis. */
export const flags = defineFlags("mixer", {
  ...componentFlags,
  ...identifiedFlags,
  ...natsFlags,
  galleyAddress: {
    kind: "string",
    describe:
      "host:port of galley, or several separated by commas: limits of the ConfigMap ratelimit-config; with --nats-url, asked while NATS is away",
  },
  rateLimitConfig: {
    kind: "list",
    describe: "file or directory with limits in the form of Envoy's rate-limit service, watched; may be repeated",
  },
  redisUrl: {
    kind: "string",
    describe: "redis://[USER@]HOST[:PORT][/DATABASE], or rediss:// for TLS; without it this process counts for itself",
  },
  redisPasswordFile: { kind: "string", describe: "file with Redis' password" },
  redisCaFile: {
    kind: "string",
    describe: "PEM file of what Redis' certificate chains to; default: what Node.js trusts",
  },
  redisTimeout: { kind: "duration", default: "15ms", describe: "how long Redis may take to decide" },
  quotaFailMode: {
    kind: "choice",
    choices: ["open", "closed", "proxy"],
    default: "proxy",
    describe:
      "while Redis does not decide: let pass, refuse what has a limit, or leave it to the proxy's failure_mode_deny",
  },
  telemetryPort: portFlag("access-log and rate-limit service over TLS", 9091),
  metricsPort: portFlag("readiness and metrics", 15_014),
  prometheusPort: portFlag("mesh metrics that mixer aggregated", 42_422),
});

export type MixerConfig = FlagValues<(typeof flags)["specs"]>;
