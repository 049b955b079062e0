import { componentFlags, defineFlags, type FlagValues, identifiedFlags, portFlag } from "@lateen/runtime";

/** Options of mixer on its own. Each replica aggregates what it is sent; Prometheus adds them up. */
export const flags = defineFlags("mixer", {
  ...componentFlags,
  ...identifiedFlags,
  telemetryPort: portFlag("access-log service over TLS", 9091),
  metricsPort: portFlag("readiness and metrics", 15_014),
  prometheusPort: portFlag("mesh metrics that mixer aggregated", 42_422),
});

export type MixerConfig = FlagValues<(typeof flags)["specs"]>;
