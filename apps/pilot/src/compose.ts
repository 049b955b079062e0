import {
  adsService,
  configEntryCodec,
  healthService,
  remoteConfigWriter,
  serveGrpc,
  signCsr,
  typeServices,
  watchConfig,
} from "@lateen/adapter-grpc";
import {
  configReferences,
  kubernetesKeySetStore,
  kubernetesLease,
  kubernetesRegistry,
  kubernetesStatusWriter,
  kubernetesTokenReviewer,
  openKubernetes,
  publishStatuses,
  STATUS_LEASE,
  whileLeading,
} from "@lateen/adapter-kubernetes";
import { fileKeySetStore, filePodRegistry, httpDocuments, memoryBus } from "@lateen/adapter-local";
import { type NatsBus, natsBus, natsOptionsOf, type WatchDirectly } from "@lateen/adapter-nats";
import { createAuthenticator } from "@lateen/citadel";
import { systemClock } from "@lateen/kernel";
import { controlAccount, defaultMeshConfig } from "@lateen/mesh-model";
import { mixerProvider } from "@lateen/mixer";
import { createPilot, type Pilot, pilotRoutes, requireIdentity } from "@lateen/pilot";
import { componentIdentity, jwtTokenReviewer } from "@lateen/pki";
import { type AcceptedObject, type Bus, CONFIG_TOPIC, type KeySetStore } from "@lateen/ports";
import { createHttp, listenHttp, type MainContext, readTokenKey, serveStatus, writePorts } from "@lateen/runtime";
import type { PilotConfig } from "./config.ts";

/** A timer of Node.js holds no more. */
const WITHOUT_END_MS = 2_147_483_647;

/**
 * Pilot on its own: configuration from galley over NATS or gRPC, what runs from a file or from a cluster, xDS for proxies. It listens only once both have
 * been read, so that a proxy that comes early goes to another replica and never sees a half-read world. While galley is away everything stays
 * as it was.
 */
export async function composePilot(config: PilotConfig, { scope, logger }: MainContext): Promise<void> {
  const clock = systemClock();
  const { host, httpHost = host, trustDomain } = config;
  let pilot: Pilot | undefined;
  let nats: NatsBus | undefined;
  const metrics = await serveStatus({
    host: httpHost,
    port: config.metricsPort,
    missing: () => pilot?.missing ?? ["certificate"],
    metrics: () => `${pilot?.metrics() ?? ""}${nats?.metrics() ?? ""}`,
    scope,
    logger,
  });
  const identity = await componentIdentity({
    settings: config,
    serviceAccount: controlAccount("pilot", config.revision),
    sign: signCsr,
    clock,
    random: { next: Math.random },
    scope,
    logger,
  });
  const galley = identity.channelTo(config.galleyAddress, "istio-galley.istio-system.svc");
  const fromGalley: WatchDirectly<AcceptedObject> = (watch, receive) =>
    watchConfig(watch, galley, receive, (state) => logger.info({ event: "galley.watch", ...state }), { logger });
  const bus = configBus();
  const { registry, tokenReview, kubeconfig, kubeContext: context } = config;
  const inCluster = registry === "kubernetes" || tokenReview === "kubernetes";
  const kubernetes = inCluster ? await openKubernetes({ kubeconfig, context, scope }) : undefined;
  const base = defaultMeshConfig();
  const keySetStore = keyStore();
  const mixer = mixerProvider(config.revision);
  pilot = await createPilot({
    bus,
    registry:
      registry === "kubernetes" && kubernetes !== undefined
        ? kubernetesRegistry(kubernetes, {
            logger,
            clock,
            ...(config.gatewayCredentials
              ? { references: configReferences(bus.state<AcceptedObject>(CONFIG_TOPIC)) }
              : {}),
          })
        : filePodRegistry(registry, { logger, clock }),
    meshConfig: defaultMeshConfig({
      trustDomain,
      extensionProviders: [...base.extensionProviders, mixer],
      defaultProviders: { accessLogging: [mixer.name], metrics: [] },
    }),
    clusterId: config.clusterId,
    writer: remoteConfigWriter(galley),
    documents: httpDocuments(),
    keyRefreshMs: config.jwksRefresh,
    ...(keySetStore === undefined ? {} : { keySetStore }),
    scope,
    clock,
    logger,
    firstSnapshotsMs: WITHOUT_END_MS,
  });
  if (registry === "kubernetes" && kubernetes !== undefined && config.writeStatus) {
    const ready = pilot;
    const source = { version: () => ready.pushes, statuses: () => ready.debug.statuses() };
    const writer = kubernetesStatusWriter(kubernetes);
    const lease = kubernetesLease(kubernetes, { clock, logger });
    whileLeading({ lease, name: STATUS_LEASE, scope, logger }, (turn) =>
      publishStatuses({ writer, source, scope: turn, clock, logger }),
    );
  }
  const tokenReviewer =
    tokenReview === "kubernetes" && kubernetes !== undefined
      ? kubernetesTokenReviewer(kubernetes, { clock, logger })
      : jwtTokenReviewer({ publicPem: await readTokenKey(config) }, clock);
  const authenticator = createAuthenticator({ tokenReviewer, trustDomain });
  const services = [adsService(pilot.ads, authenticator, logger), ...typeServices(pilot.ads, authenticator, logger)];
  const health = healthService(services.map(({ name }) => name));
  const server = await serveGrpc({
    host,
    port: config.xdsPort,
    fallbackToFreePort: true,
    tls: identity.tls(),
    services: [...services, health],
    logger,
  });
  identity.onRenewed(server.updateTls);
  scope.defer(() => server.close(2_000));
  health.setServing(true);
  const http = await serveDebug(pilot);
  await writePorts(config.portsFile, { xds: server.port, http, metrics });
  logger.info({ event: "pilot.serving", xds: server.port, http, metrics });

  /** Configuration over NATS, and from galley itself while NATS is away; without NATS, from galley alone. */
  function configBus(): Bus {
    const local = memoryBus({ logger });
    const options = natsOptionsOf(config);
    if (options === undefined) {
      const topic = local.state<AcceptedObject>(CONFIG_TOPIC);
      fromGalley(scope, (delta) => void topic.publish(delta));
      return local;
    }
    const codecs = { [CONFIG_TOPIC]: configEntryCodec };
    const direct = { [CONFIG_TOPIC]: fromGalley };
    nats = natsBus({ ...options, name: "pilot", codecs, direct, local, scope, clock, logger });
    return nats;
  }

  /** What tells of token issuers that are away when this process starts. */
  function keyStore(): KeySetStore | undefined {
    if (config.issuerKeys !== undefined) return fileKeySetStore(config.issuerKeys);
    return registry === "kubernetes" && kubernetes !== undefined ? kubernetesKeySetStore(kubernetes) : undefined;
  }

  /** Debug pages: with an identity over TCP, without on the owner's socket. */
  async function serveDebug(ready: Pilot): Promise<number> {
    const open = createHttp({ logger });
    requireIdentity(open, authenticator, ["/ready"]);
    await open.register(pilotRoutes(ready));
    scope.defer(() => open.close());
    if (config.controlSocket !== undefined) {
      const control = createHttp({ logger });
      await control.register(pilotRoutes(ready));
      await listenHttp(control, { path: config.controlSocket });
      scope.defer(() => control.close());
    }
    return (await listenHttp(open, { host: httpHost, port: config.httpPort, fallbackToFreePort: true })).port;
  }
}
