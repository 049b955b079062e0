import { accessLogService, healthService, rateLimitService, serveGrpc, signCsr } from "@lateen/adapter-grpc";
import { kubernetesTokenReviewer, openKubernetes } from "@lateen/adapter-kubernetes";
import { createAuthenticator } from "@lateen/citadel";
import { systemClock } from "@lateen/kernel";
import { controlAccount } from "@lateen/mesh-model";
import { createMixer } from "@lateen/mixer";
import { componentIdentity, jwtTokenReviewer } from "@lateen/pki";
import { type MainContext, readTokenKey, serveStatus, writePorts } from "@lateen/runtime";
import type { MixerConfig } from "./config.ts";
import { composeRateLimits } from "./rate-limits.ts";

/**
 * Mixer on its own: access logs of proxies in, aggregated metrics out; rate limits decided. Access logs that are sent while no replica runs are
 * dropped and counted there; what proxies do without a decision is their `failure_mode_deny`.
 */
export async function composeMixer(config: MixerConfig, { scope, logger }: MainContext): Promise<void> {
  const clock = systemClock();
  const { host, httpHost = host, trustDomain } = config;
  const mixer = createMixer({ clock, logger });
  const identity = await componentIdentity({
    settings: config,
    serviceAccount: controlAccount("mixer", config.revision),
    sign: signCsr,
    clock,
    random: { next: Math.random },
    scope,
    logger,
  });
  const { kubeconfig, kubeContext: context } = config;
  const tokenReviewer =
    config.tokenReview === "kubernetes"
      ? kubernetesTokenReviewer(await openKubernetes({ kubeconfig, context, scope }), { clock, logger })
      : jwtTokenReviewer({ publicPem: await readTokenKey(config) }, clock);
  const authenticator = createAuthenticator({ tokenReviewer, trustDomain });
  const accessLogs = accessLogService(mixer.receive, authenticator, logger);
  const limits = await composeRateLimits(config, { identity, clock, scope, logger });
  const rateLimits = rateLimitService(limits.limiter.decide, authenticator, { clock, logger });
  const health = healthService([accessLogs.name, rateLimits.name]);
  const server = await serveGrpc({
    host,
    port: config.telemetryPort,
    fallbackToFreePort: true,
    tls: identity.tls(),
    services: [accessLogs, rateLimits, health],
    logger,
  });
  identity.onRenewed(server.updateTls);
  scope.defer(() => server.close(2_000));
  health.setServing(true);
  const face = { host: httpHost, metrics: () => mixer.metrics() + limits.metrics(), scope, logger };
  const metrics = await serveStatus({ ...face, port: config.metricsPort });
  const prometheus = await serveStatus({ ...face, port: config.prometheusPort });
  await writePorts(config.portsFile, { als: server.port, metrics, prometheus });
  logger.info({ event: "mixer.serving", als: server.port, metrics, prometheus });
}
