import { join } from "node:path";
import { configDistributionService, configEntryCodec, healthService, serveGrpc, signCsr } from "@lateen/adapter-grpc";
import {
  type KubernetesApi,
  kubernetesConfigSource,
  kubernetesConfigStore,
  kubernetesConfigWriter,
  kubernetesLease,
  kubernetesTokenReviewer,
  openKubernetes,
} from "@lateen/adapter-kubernetes";
import { fileConfigSource, fileLease, journalConfigStore, memoryBus } from "@lateen/adapter-local";
import { type NatsBus, natsBus, natsOptionsOf } from "@lateen/adapter-nats";
import { createAuthenticator } from "@lateen/citadel";
import {
  configWriter,
  createAdmissionValidator,
  createGalley,
  type Galley,
  type GalleyOptions,
  galleyRoutes,
} from "@lateen/galley";
import { type Logger, messageOf, type Scope, systemClock } from "@lateen/kernel";
import { controlAccount, nameInRevision } from "@lateen/mesh-model";
import { componentIdentity, jwtTokenReviewer } from "@lateen/pki";
import { type AcceptedObject, CONFIG_TOPIC, type Lease } from "@lateen/ports";
import {
  badConfiguration,
  createHttp,
  listenHttp,
  type MainContext,
  needed,
  readTokenKey,
  serveStatus,
  writePorts,
} from "@lateen/runtime";
import type { GalleyConfig } from "./config.ts";
import { leadershipLost } from "./errors.ts";
import { serveValidation } from "./webhooks.ts";

/**
 * Galley on its own. Of several replicas on one state directory, or in one cluster, one leads: it alone reads the store, decides, and listens. The others wait
 * for the lease with their ports closed, so that clients which try one address after the other find the leader. A leader that loses the lease
 * ends at once.
 */
export async function composeGalley(config: GalleyConfig, { scope, logger }: MainContext): Promise<void> {
  const clock = systemClock();
  const { host, httpHost = host, trustDomain, controlSocket } = config;
  const cluster = { kubeconfig: config.kubeconfig, context: config.kubeContext, scope };
  const kubernetes = isInCluster(config) ? await openKubernetes(cluster) : undefined;
  let galley: Galley | undefined;
  const validator = createAdmissionValidator();
  let nats: NatsBus | undefined;
  const metrics = await serveStatus({
    host: httpHost,
    port: config.metricsPort,
    // A replica that stands by is as ready as it can be.
    metrics: () => `${galley?.metrics() ?? ""}${validator.metrics()}${nats?.metrics() ?? ""}`,
    routes: (app) => void app.get("/leader", async () => ({ leader: galley !== undefined })),
    scope,
    logger,
  });
  const identity = await componentIdentity({
    settings: config,
    serviceAccount: controlAccount("galley", config.revision),
    sign: signCsr,
    clock,
    random: { next: Math.random },
    scope,
    logger,
  });
  const webhook = await serveValidation(config, validator, { identity, clock, scope, logger });
  await writePorts(config.portsFile, { webhook, metrics });
  logger.info({ event: "galley.standing_by", webhook, metrics });
  // Only a leader has more to start; a replica that stands by is up.
  void lead().catch((error: unknown) => {
    if (!scope.closed) failWith(error);
  });

  async function lead(): Promise<void> {
    const home =
      kubernetes === undefined ? homeInFiles(config, logger) : homeInCluster(kubernetes, config.revision, logger);
    const epoch = await takeLead(home.lease, nameInRevision("galley", config.revision), scope);
    const bus = memoryBus({ logger });
    const topic = bus.state<AcceptedObject>(CONFIG_TOPIC);
    nats = overNats(epoch);
    if (nats !== undefined) {
      const carried = nats.state<AcceptedObject>(CONFIG_TOPIC);
      // Galley waits for nothing there: what was decided is in its journal, and those who follow can ask it.
      topic.watch(scope, (delta) => {
        carried.publish(delta).catch((error: unknown) => {
          logger.error({ event: "config.not_over_nats", reason: messageOf(error) });
        });
      });
    }
    galley = await createGalley({
      ...home.open(epoch),
      bus,
      epoch,
      scope,
      clock,
      logger,
    });
    const tokenReviewer =
      config.tokenReview === "kubernetes"
        ? kubernetesTokenReviewer(kubernetes ?? (await openKubernetes(cluster)), { clock, logger })
        : jwtTokenReviewer({ publicPem: await readTokenKey(config) }, clock);
    const distribution = configDistributionService({
      topic,
      authenticator: createAuthenticator({ tokenReviewer, trustDomain }),
      writer: kubernetes === undefined ? configWriter(galley) : kubernetesConfigWriter(kubernetes),
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
    await writePorts(config.portsFile, { config: server.port, webhook, metrics });
    logger.info({ event: "galley.leading", config: server.port, epoch });
  }

  /** The bus of a leader; a replica that stands by has none. */
  function overNats(epoch: number): NatsBus | undefined {
    const options = natsOptionsOf(config);
    if (options === undefined) return undefined;
    const codecs = { [CONFIG_TOPIC]: configEntryCodec };
    return natsBus({ ...options, name: "galley", codecs, local: memoryBus({ logger }), epoch, scope, clock, logger });
  }
}

/** Where configuration comes from and what is remembered of it, and the lease that says who decides. */
interface Home {
  readonly lease: Lease;
  open(fencingToken: number): Pick<GalleyOptions, "source" | "store" | "countedBySource">;
}

function homeInFiles(config: GalleyConfig, logger: Logger): Home {
  const stateDir = needed(config.stateDir, "--state-dir", "unless --config kubernetes is given");
  return {
    lease: fileLease(join(stateDir, "lease")),
    open: () => ({
      source: fileConfigSource(config.config, { logger }),
      store: journalConfigStore(stateDir, { logger }),
    }),
  };
}

function homeInCluster(kubernetes: KubernetesApi, revision: string, logger: Logger): Home {
  return {
    lease: kubernetesLease(kubernetes, { logger }),
    open: (fencingToken) => ({
      source: kubernetesConfigSource(kubernetes, { revision, logger }),
      store: kubernetesConfigStore(kubernetes, {
        ...{ logger, name: nameInRevision("lateen-galley", revision) },
        fencingToken: () => fencingToken,
      }),
      countedBySource: true,
    }),
  };
}

/** An object has one home: files and a cluster would contradict each other. */
function isInCluster({ config }: GalleyConfig): boolean {
  if (!config.includes("kubernetes")) return false;
  if (config.length > 1) throw badConfiguration(["--config kubernetes cannot be mixed with files"]);
  return true;
}

/** Resolves when this replica leads, with its fencing token. Losing the lease while it runs ends the process. */
async function takeLead(lease: Lease, name: string, scope: Scope): Promise<number> {
  const { lost, fencingToken } = await lease.acquire(scope, name);
  lost.addEventListener("abort", () => {
    if (!scope.closed) failWith(leadershipLost(lost.reason));
  });
  return fencingToken;
}

/** Ends the process as anything unexpected does. */
function failWith(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}
