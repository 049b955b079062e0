import { readFile } from "node:fs/promises";
import { certificateService, type GrpcServer, healthService, serveGrpc } from "@lateen/adapter-grpc";
import { fileSecretStore } from "@lateen/adapter-local";
import { CONTROL_PLANE_NAMES, createAuthenticator, createCitadel } from "@lateen/citadel";
import { systemClock } from "@lateen/kernel";
import { jwtTokenReviewer } from "@lateen/pki";
import { type MainContext, serveStatus, writePorts } from "@lateen/runtime";
import type { CitadelConfig } from "./config.ts";

/**
 * Citadel on its own: workload certificates for bearers of a token or of a certificate it signed. It keeps nothing but the CA's files, so any
 * number of replicas may share them.
 */
export async function composeCitadel(config: CitadelConfig, { scope, logger }: MainContext): Promise<void> {
  const clock = systemClock();
  const { host, httpHost = host, trustDomain } = config;
  const citadel = await createCitadel({
    secretStore: fileSecretStore(config.caDir),
    trustDomain,
    maxTtlSeconds: config.maxCertTtl / 1000,
    clock,
    logger,
  });
  const publicPem = await readFile(config.tokenPublicKey, "utf8");
  const authenticator = createAuthenticator({ tokenReviewer: jwtTokenReviewer({ publicPem }, clock), trustDomain });
  const names = CONTROL_PLANE_NAMES.get("istio-citadel-service-account") ?? [];
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
  await writePorts(config.portsFile, { ca: port, metrics });
  logger.info({ event: "citadel.serving", ca: port, metrics });
}
