import { join } from "node:path";
import {
  accessLogService,
  adsService,
  certificateService,
  configDistributionService,
  type GrpcServer,
  type GrpcService,
  healthService,
  rateLimitService,
  serveGrpc,
  typeServices,
} from "@lateen/adapter-grpc";
import { minorOf } from "@lateen/adapter-kubernetes";
import { httpDocuments, memoryBus, memoryQuotaStore } from "@lateen/adapter-local";
import { allControlPlaneNames, createAuthenticator, createCitadel } from "@lateen/citadel";
import { configWriter, createAdmissionValidator, createGalley, galleyRoutes, validationRoutes } from "@lateen/galley";
import { createInjector, injectorRoutes, proxyConfigsOfTopic } from "@lateen/injector";
import { systemClock } from "@lateen/kernel";
import { defaultMeshConfig } from "@lateen/mesh-model";
import { createMixer, createRateLimiter, mixerProvider, rateLimitsOfConfigMap } from "@lateen/mixer";
import { createPilot, pilotRoutes, requireIdentity } from "@lateen/pilot";
import { type AcceptedObject, CONFIG_TOPIC } from "@lateen/ports";
import {
  atomicWriteFile,
  createHttp,
  followTexts,
  listenHttp,
  type MainContext,
  serveWebhooks,
  type WebhookFace,
} from "@lateen/runtime";
import type { ControlPlaneConfig } from "./config.ts";
import { surroundingsOf } from "./surroundings.ts";

const ROOT_NAMESPACE = "istio-system";

/**
 * All control components in one process, joined by the in-process bus and kept by files of the state directory, or by a cluster:
 * `ca/`, `token-pub.pem`, `config/` (journal), `registry/pods.json` (what runs), `issuer-keys/`, `control.sock` (0600, no further identity asked).
 * Serves xDS only once the journal and the registry have been read, so that proxies never see a half-read world.
 */
export async function composeControlPlane(config: ControlPlaneConfig, { scope, logger }: MainContext): Promise<void> {
  const clock = systemClock();
  const inState = (name: string) => join(config.stateDir, name);
  const bus = memoryBus({ logger });
  const topic = bus.state<AcceptedObject>(CONFIG_TOPIC);
  const around = await surroundingsOf(config, { scope, clock, logger, topic });
  const citadel = await createCitadel({
    secretStore: around.secretStore,
    trustDomain: config.trustDomain,
    maxTtlSeconds: config.maxCertTtl / 1000,
    clock,
    logger,
  });
  const authenticator = createAuthenticator({
    tokenReviewer: around.tokenReviewer,
    trustDomain: config.trustDomain,
  });
  const mixer = createMixer({ clock, logger });
  // One process counts for all: nothing else needs to be asked.
  const store = memoryQuotaStore({ clock });
  const limiter = createRateLimiter({ store, failMode: "proxy", sources: ["configuration"], clock, logger });
  const limits = rateLimitsOfConfigMap(ROOT_NAMESPACE);
  topic.watch(scope, (delta) => limiter.configure("configuration", limits(delta)));
  const galley = await createGalley({
    ...around.configuration,
    bus,
    scope,
    clock,
    logger,
  });
  const pilot = await createPilot({
    bus,
    registry: around.registry,
    meshConfig: defaultMeshConfig({
      trustDomain: config.trustDomain,
      extensionProviders: [...defaultMeshConfig().extensionProviders, mixerProvider(config.revision)],
      defaultProviders: { accessLogging: ["mixer"], metrics: [] },
    }),
    clusterId: config.clusterId,
    writer: around.writer ?? configWriter(galley),
    documents: httpDocuments(),
    keyRefreshMs: config.jwksRefresh,
    keySetStore: around.keySetStore,
    scope,
    clock,
    logger,
  });

  const kubernetesMinor = minorOf(config.kubernetesVersion) ?? (await around.kubernetesMinor());
  const files = { config: config.injectionConfig, values: config.values, mesh: config.meshConfig };
  const texts = await followTexts(files, { scope, clock, logger }, (read) => {
    injector.update({ ...read, kubernetesMinor });
  });
  const injector = createInjector({ ...texts, kubernetesMinor }, logger);
  const proxyConfigs = proxyConfigsOfTopic();
  topic.watch(scope, (delta) => {
    const changed = proxyConfigs(delta);
    if (changed !== undefined) injector.takeProxyConfigs(changed);
  });
  const validator = createAdmissionValidator();
  const servers: (GrpcServer | WebhookFace)[] = [];
  // Names by which clients know the control plane; each component has its own, on one certificate here.
  const serverNames = [...allControlPlaneNames(config.revision), "localhost"];
  const tls = citadel.rotatingServerCertificate(scope, serverNames, (next) => {
    for (const server of servers) server.updateTls(next);
  });
  const ca = certificateService(citadel.sign, authenticator, logger);
  const listen = async (port: number, services: readonly GrpcService[]): Promise<GrpcServer> => {
    const health = healthService(services.map(({ name }) => name));
    const server = await serveGrpc({
      host: config.host,
      port,
      fallbackToFreePort: true,
      tls,
      services: [...services, health],
      logger,
    });
    health.setServing(true);
    servers.push(server);
    scope.defer(() => server.close(2_000));
    return server;
  };
  const [xds, caOnly, distribution, accessLogs] = await Promise.all([
    listen(config.xdsPort, [
      adsService(pilot.ads, authenticator, logger),
      ...typeServices(pilot.ads, authenticator, logger),
      ca,
    ]),
    listen(config.caPort, [ca]),
    listen(config.configPort, [configDistributionService({ topic, authenticator, logger })]),
    listen(config.telemetryPort, [
      accessLogService(mixer.receive, authenticator, logger),
      rateLimitService(limiter.decide, authenticator, { clock, logger }),
    ]),
  ]);

  const webhooks = await serveWebhooks({
    ...{ host: config.host, port: config.webhookPort, tls, scope, logger },
    routes: async (app) => {
      await app.register(injectorRoutes(injector));
      await app.register(validationRoutes(validator));
    },
  });
  servers.push(webhooks);
  around.start(citadel, pilot);
  const faces = await serveHttpFaces();
  const ports = {
    xds: xds.port,
    ca: caOnly.port,
    config: distribution.port,
    als: accessLogs.port,
    webhook: webhooks.port,
    ...faces,
  };
  await atomicWriteFile(inState("control-plane.json"), `${JSON.stringify({ pid: process.pid, ...ports })}\n`, 0o600);
  logger.info({ event: "control_plane.serving", ports });

  async function serveHttpFaces(): Promise<{ http: number; metrics: number; prometheus: number }> {
    const open = async (port: number, setUp: (app: ReturnType<typeof createHttp>) => void | Promise<void>) => {
      const app = createHttp({ logger });
      await setUp(app);
      const bound = await listenHttp(app, { host: config.httpHost ?? config.host, port, fallbackToFreePort: true });
      scope.defer(() => app.close());
      return bound.port;
    };
    const control = createHttp({ logger });
    await control.register(galleyRoutes(galley));
    await control.register(pilotRoutes(pilot));
    await listenHttp(control, { path: inState("control.sock") });
    scope.defer(() => control.close());
    const text = (read: () => string) => (app: ReturnType<typeof createHttp>) =>
      void app.get("/metrics", (_request, reply) => reply.type("text/plain; version=0.0.4").send(read()));
    const [http, metrics, prometheus] = await Promise.all([
      open(config.httpPort, async (app) => {
        requireIdentity(app, authenticator, ["/ready"]);
        await app.register(pilotRoutes(pilot));
      }),
      open(
        config.metricsPort,
        text(() => [pilot, galley, citadel, injector, validator].map((component) => component.metrics()).join("")),
      ),
      open(
        config.prometheusPort,
        text(() => mixer.metrics() + limiter.metrics()),
      ),
    ]);
    return { http, metrics, prometheus };
  }
}
