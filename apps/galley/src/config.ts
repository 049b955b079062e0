import { componentFlags, defineFlags, type FlagValues, identifiedFlags, natsFlags, portFlag } from "@lateen/runtime";

/** Options of galley on its own. Replicas share the state directory or the API server; one of them leads. */
export const flags = defineFlags("galley", {
  ...componentFlags,
  ...identifiedFlags,
  ...natsFlags,
  stateDir: {
    kind: "string",
    describe: "directory of the journal of accepted configuration, and of the lease that says which replica leads",
  },
  config: {
    kind: "list",
    describe:
      "file or directory of YAML to watch, may be repeated; or `kubernetes`, the API server, which then is the store",
  },
  webhook: {
    kind: "list",
    describe: "ValidatingWebhookConfiguration that shall trust this galley's certificate; may be repeated",
  },
  webhookPort: portFlag("validation webhook over TLS, of every replica", 15_017),
  configPort: portFlag("config distribution over TLS, of the leader", 9901),
  metricsPort: portFlag("readiness and metrics", 15_014),
});

export type GalleyConfig = FlagValues<(typeof flags)["specs"]>;
