import { componentFlags, defineFlags, type FlagValues, portFlag } from "@lateen/runtime";

/** Options of citadel on its own. Replicas share the CA's directory. */
export const flags = defineFlags("citadel", {
  ...componentFlags,
  caDir: {
    kind: "string",
    required: true,
    describe:
      "directory of ca-cert.pem, ca-key.pem, root-cert.pem and cert-chain.pem; a new CA is made when it is empty",
  },
  maxCertTtl: { kind: "duration", default: "24h", describe: "longest life of a workload certificate" },
  caPort: portFlag("CA over TLS", 8060),
  metricsPort: portFlag("readiness and metrics", 15_014),
});

export type CitadelConfig = FlagValues<(typeof flags)["specs"]>;
