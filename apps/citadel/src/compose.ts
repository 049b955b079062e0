import { certificateService, type GrpcServer, healthService, serveGrpc } from "@lateen/adapter-grpc";
import {
  keepStoreSecrets,
  kubernetesLease,
  kubernetesSecretStore,
  kubernetesTokenReviewer,
  openKubernetes,
  publishRootCertificate,
  whileLeading,
} from "@lateen/adapter-kubernetes";
import { fileSecretStore } from "@lateen/adapter-local";
import { controlPlaneNames, createAuthenticator, createCitadel } from "@lateen/citadel";
import { systemClock } from "@lateen/kernel";
import { controlAccount } from "@lateen/mesh-model";
import { jwtTokenReviewer, verifyChain } from "@lateen/pki";
import { type MainContext, needed, readTokenKey, serveStatus, writePorts } from "@lateen/runtime";
import type { CitadelConfig } from "./config.ts";

/** Longer than any CA's life, which ends what it signs: stores read their certificate once, at their start. */
const CENTURY_SECONDS = 3_155_760_000;

/**
 * Citadel on its own: workload certificates for bearers of a token or of a certificate it signed. It keeps nothing but the CA, in files or in
 * a Secret, so any number of replicas may share it.
 */
export async function composeCitadel(config: CitadelConfig, { scope, logger }: MainContext): Promise<void> {
  const clock = systemClock();
  const { host, httpHost = host, trustDomain } = config;
  const { tokenReview, caStore, publishRoot, kubeconfig, kubeContext: context } = config;
  const stores = config.storeSecrets.flatMap((text) => text.split(",")).filter((text) => text !== "");
  const inCluster = tokenReview === "kubernetes" || caStore === "kubernetes" || publishRoot || stores.length > 0;
  const kubernetes = inCluster ? await openKubernetes({ kubeconfig, context, scope }) : undefined;
  const citadel = await createCitadel({
    secretStore:
      caStore === "kubernetes" && kubernetes !== undefined
        ? kubernetesSecretStore(kubernetes, { logger })
        : fileSecretStore(needed(config.caDir, "--ca-dir", "unless --ca-store kubernetes is given")),
    trustDomain,
    maxTtlSeconds: config.maxCertTtl / 1000,
    clock,
    logger,
  });
  const tokenReviewer =
    tokenReview === "kubernetes" && kubernetes !== undefined
      ? kubernetesTokenReviewer(kubernetes, { clock, logger })
      : jwtTokenReviewer({ publicPem: await readTokenKey(config) }, clock);
  const authenticator = createAuthenticator({ tokenReviewer, trustDomain });
  const names = controlPlaneNames(controlAccount("citadel", config.revision));
  let server: GrpcServer | undefined;
  const tls = citadel.rotatingServerCertificate(scope, names, (next) => server?.updateTls(next));
  const ca = certificateService(citadel.sign, authenticator, logger);
  const health = healthService([ca.name]);
  server = await serveGrpc({
    host,
    port: config.caPort,
    fallbackToFreePort: true,
    tls,
    services: [ca, health],
    logger,
  });
  health.setServing(true);
  const { port, close } = server;
  scope.defer(() => close(2_000));
  const metrics = await serveStatus({
    host: httpHost,
    port: config.metricsPort,
    metrics: () => citadel.metrics(),
    scope,
    logger,
  });
  if (publishRoot && kubernetes !== undefined) {
    const lease = kubernetesLease(kubernetes, { clock, logger });
    const { rootPem } = citadel;
    whileLeading({ lease, name: "istio-ca-root-cert", scope, logger }, (turn) =>
      publishRootCertificate(kubernetes, { scope: turn, rootPem, clock, logger }),
    );
  }
  if (stores.length > 0 && kubernetes !== undefined) {
    const { rootPem } = citadel;
    void keepStoreSecrets(kubernetes, {
      stores,
      issue: (dnsNames) => citadel.serverCertificate(dnsNames, CENTURY_SECONDS),
      trusts: (certPem) => verifyChain(certPem, rootPem, clock).ok,
      scope,
      clock,
      logger,
    });
  }
  await writePorts(config.portsFile, { ca: port, metrics });
  logger.info({ event: "citadel.serving", ca: port, metrics });
}
