import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { configDistributionService, healthService, serveGrpc, signCsr } from "@lateen/adapter-grpc";
import { fileConfigSource, fileLease, journalConfigStore, memoryBus } from "@lateen/adapter-local";
import { createAuthenticator } from "@lateen/citadel";
import { configWriter, createGalley, type Galley, galleyRoutes } from "@lateen/galley";
import { type Scope, systemClock } from "@lateen/kernel";
import { componentIdentity, jwtTokenReviewer } from "@lateen/pki";
import { type AcceptedObject, CONFIG_TOPIC } from "@lateen/ports";
import { createHttp, listenHttp, type MainContext, serveStatus, writePorts } from "@lateen/runtime";
import type { GalleyConfig } from "./config.ts";
import { leadershipLost } from "./errors.ts";

/**
 * Galley on its own. Of several replicas on one state directory one leads: it alone reads the journal, decides, and listens. The others wait
 * for the lease with their ports closed, so that clients which try one address after the other find the leader. A leader that loses the lease
 * ends at once.
 */
export async function composeGalley(config: GalleyConfig, { scope, logger }: MainContext): Promise<void> {
  const clock = systemClock();
  const { host, httpHost = host, trustDomain, controlSocket } = config;
  let galley: Galley | undefined;
  const metrics = await serveStatus({
    host: httpHost,
    port: config.metricsPort,
    // A replica that stands by is as ready as it can be.
    metrics: () => galley?.metrics() ?? "",
    routes: (app) => void app.get("/leader", async () => ({ leader: galley !== undefined })),
    scope,
    logger,
  });
  const identity = await componentIdentity({
    settings: config,
    serviceAccount: "istio-galley-service-account",
    sign: signCsr,
    clock,
    random: { next: Math.random },
    scope,
    logger,
  });
  await writePorts(config.portsFile, { metrics });
  logger.info({ event: "galley.standing_by", metrics });
  // Only a leader has more to start; a replica that stands by is up.
  void lead().catch((error: unknown) => {
    if (!scope.closed) failWith(error);
  });

  async function lead(): Promise<void> {
    await takeLead(config.stateDir, scope);
    const bus = memoryBus({ logger });
    galley = await createGalley({
      source: fileConfigSource(config.config, { logger }),
      store: journalConfigStore(config.stateDir, { logger }),
      bus,
      scope,
      clock,
      logger,
    });
    const publicPem = await readFile(config.tokenPublicKey, "utf8");
    const distribution = configDistributionService({
      topic: bus.state<AcceptedObject>(CONFIG_TOPIC),
      authenticator: createAuthenticator({ tokenReviewer: jwtTokenReviewer({ publicPem }, clock), trustDomain }),
      writer: configWriter(galley),
      logger,
    });
    const health = healthService([distribution.name]);
    const services = [distribution, health];
    const server = await serveGrpc({ host, port: config.configPort, tls: identity.tls(), services, logger });
    identity.onRenewed(server.updateTls);
    scope.defer(() => server.close(2_000));
    health.setServing(true);
    if (controlSocket !== undefined) {
      const control = createHttp({ logger });
      await control.register(galleyRoutes(galley));
      await listenHttp(control, { path: controlSocket });
      scope.defer(() => control.close());
    }
    await writePorts(config.portsFile, { config: server.port, metrics });
    logger.info({ event: "galley.leading", config: server.port });
  }
}

/** Resolves when this replica leads. Losing the lease while it runs ends the process. */
async function takeLead(stateDir: string, scope: Scope): Promise<void> {
  const { lost } = await fileLease(join(stateDir, "lease")).acquire(scope, "galley");
  lost.addEventListener("abort", () => {
    if (!scope.closed) failWith(leadershipLost(lost.reason));
  });
}

/** Ends the process as anything unexpected does. */
function failWith(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}
