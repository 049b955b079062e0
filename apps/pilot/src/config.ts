import { componentFlags, defineFlags, type FlagValues, identifiedFlags, natsFlags, portFlag } from "@lateen/runtime";

/** Options of pilot on its own. It keeps nothing but keys of token issuers: any number of replicas may run. */
export const flags = defineFlags("pilot", {
  ...componentFlags,
  ...identifiedFlags,
  ...natsFlags,
  galleyAddress: {
    kind: "string",
    required: true,
    describe:
      "host:port of galley, or several separated by commas, of which one leads; with --nats-url, asked while NATS is away",
  },
  registry: {
    kind: "string",
    required: true,
    describe: "what runs: a JSON file that says so, or `kubernetes` for the services and pods of the API server",
  },
  gatewayCredentials: {
    kind: "boolean",
    default: true,
    describe: "with --registry kubernetes: read the Secrets and ConfigMaps with certificates that configuration names",
  },
  writeStatus: {
    kind: "boolean",
    default: true,
    describe: "with --registry kubernetes: write the status of Gateway API objects and Ingresses; one replica does",
  },
  clusterId: { kind: "string", default: "local", describe: "name of this cluster, a label of every workload" },
  jwksRefresh: {
    kind: "duration",
    default: "20m",
    describe: "after how long keys of token issuers are fetched anew; at least a second",
  },
  issuerKeys: {
    kind: "string",
    describe:
      "directory where the last good keys of token issuers are kept over restarts, which replicas on one machine share; default: with --registry kubernetes the ConfigMap lateen-issuer-keys, otherwise they are not kept",
  },
  xdsPort: portFlag("xDS over TLS", 15_012),
  httpPort: portFlag("readiness and debug", 15_080),
  metricsPort: portFlag("readiness and metrics", 15_014),
});

export type PilotConfig = FlagValues<(typeof flags)["specs"]>;
