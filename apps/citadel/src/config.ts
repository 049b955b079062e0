import { componentFlags, defineFlags, type FlagValues, portFlag } from "@lateen/runtime";

/** Options of citadel on its own. Replicas share the CA's directory or Secret. */
export const flags = defineFlags("citadel", {
  ...componentFlags,
  caStore: {
    kind: "choice",
    choices: ["files", "kubernetes"],
    default: "files",
    describe: "where the CA is kept: in --ca-dir, or in the Secret cacerts or istio-ca-secret of this namespace",
  },
  caDir: {
    kind: "string",
    describe:
      "directory of ca-cert.pem, ca-key.pem, root-cert.pem and cert-chain.pem; a new CA is made when it is empty",
  },
  publishRoot: {
    kind: "boolean",
    describe: "keep the ConfigMap istio-ca-root-cert of every namespace of the cluster at the root certificate",
  },
  storeSecrets: {
    kind: "list",
    describe:
      "Services of NATS and Redis in this namespace, separated by commas, for each of which a Secret of its name is made: a password, and a certificate as long as the CA's",
  },
  maxCertTtl: { kind: "duration", default: "24h", describe: "longest life of a workload certificate" },
  caPort: portFlag("CA over TLS", 8060),
  metricsPort: portFlag("readiness and metrics", 15_014),
});

export type CitadelConfig = FlagValues<(typeof flags)["specs"]>;
