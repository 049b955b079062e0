import { defineFlags, type FlagValues } from "@lateen/runtime";

const port = (describe: string, value: number) =>
  ({ kind: "number", min: 0, max: 65_535, default: value, describe: `${describe}; 0 takes a free port` }) as const;

/** Options of the control plane. The ports are Istio's; a busy one is replaced by a free one, which `control-plane.json` names. */
export const flags = defineFlags("control-plane", {
  stateDir: {
    kind: "string",
    required: true,
    describe: "where CA, accepted configuration, registry and control socket live",
  },
  config: { kind: "list", describe: "file or directory of YAML to watch; may be repeated" },
  host: { kind: "string", default: "127.0.0.1", describe: "address to listen on" },
  httpHost: { kind: "string", describe: "address of metrics, readiness and debug; default: --host" },
  clusterId: { kind: "string", default: "local", describe: "name of this cluster, a label of every workload" },
  trustDomain: { kind: "string", default: "cluster.local", describe: "SPIFFE trust domain" },
  maxCertTtl: { kind: "duration", default: "24h", describe: "longest life of a workload certificate" },
  xdsPort: port("xDS and CA over TLS", 15_012),
  caPort: port("CA over TLS", 8060),
  configPort: port("config distribution over TLS", 9901),
  telemetryPort: port("access-log service over TLS", 9091),
  metricsPort: port("metrics of this process", 15_014),
  httpPort: port("readiness and debug", 15_080),
  prometheusPort: port("mesh metrics that mixer aggregated", 42_422),
});

export type ControlPlaneConfig = FlagValues<(typeof flags)["specs"]>;
