import { signCsr } from "@lateen/adapter-grpc";
import { type KubernetesApi, kubernetesWebhooks, openKubernetes } from "@lateen/adapter-kubernetes";
import { createInjector, injectorRoutes } from "@lateen/injector";
import { messageOf, systemClock } from "@lateen/kernel";
import { componentIdentity, keepCaBundles } from "@lateen/pki";
import { type MainContext, serveStatus, serveWebhooks, writePorts } from "@lateen/runtime";
import type { SidecarInjectorConfig } from "./config.ts";
import { minorOf, readTexts } from "./texts.ts";

/** How often the files of the configuration are looked at: a mounted ConfigMap follows within the kubelet's minute. */
const LOOK_MS = 2000;

/**
 * The sidecar injector on its own. A configuration that changes on disk is put in force without a restart; one that cannot be read leaves the one
 * before. Ready when the webhook is served.
 */
export async function composeSidecarInjector(
  config: SidecarInjectorConfig,
  { scope, logger }: MainContext,
): Promise<void> {
  const clock = systemClock();
  const random = { next: Math.random };
  const { host, httpHost = host } = config;
  const cluster = { kubeconfig: config.kubeconfig, context: config.kubeContext, clock, scope };
  const api = config.webhook.length > 0 ? await openKubernetes(cluster) : undefined;
  const kubernetesMinor = minorOf(config.kubernetesVersion) ?? (api === undefined ? undefined : await askMinor(api));
  let texts = { ...(await readTexts(config)), kubernetesMinor };
  const injector = createInjector(texts, logger);
  let serving = false;
  const metrics = await serveStatus({
    host: httpHost,
    port: config.metricsPort,
    missing: () => (serving ? [] : ["certificate"]),
    metrics: () => injector.metrics(),
    scope,
    logger,
  });
  await writePorts(config.portsFile, { metrics });
  const identity = await componentIdentity({
    settings: config,
    serviceAccount: "istio-sidecar-injector-service-account",
    sign: signCsr,
    ...{ clock, random, scope, logger },
  });
  const face = await serveWebhooks({
    ...{ host, port: config.webhookPort, scope, logger },
    tls: identity.tls(),
    routes: async (app) => void (await app.register(injectorRoutes(injector))),
  });
  identity.onRenewed(face.updateTls);
  if (api !== undefined) {
    const look = keepCaBundles({
      ...{ webhooks: kubernetesWebhooks(api), clock, random, scope, logger },
      configurations: config.webhook.map((name) => ({ kind: "MutatingWebhookConfiguration", name })),
      rootPem: () => identity.tls().rootPem,
    });
    identity.onRenewed(look);
  }
  scope.defer(clock.every(LOOK_MS, () => void reload()));
  serving = true;
  await writePorts(config.portsFile, { webhook: face.port, metrics });
  logger.info({ event: "sidecar_injector.serving", webhook: face.port, metrics, kubernetesMinor });

  async function reload(): Promise<void> {
    try {
      const read = { ...(await readTexts(config)), kubernetesMinor };
      if (JSON.stringify(read) === JSON.stringify(texts)) return;
      texts = read;
      injector.update(read);
    } catch (error) {
      // A mount is replaced, or gone: what is in force stays.
      logger.warn({ event: "injector.config_unreadable", reason: messageOf(error) });
    }
  }

  /** Undefined when the API server does not say; native sidecars are then for pods that end only. */
  async function askMinor(server: KubernetesApi): Promise<number | undefined> {
    try {
      const version = (await server.request({ method: "GET", path: "/version" })) as { gitVersion?: unknown };
      return minorOf(String(version.gitVersion));
    } catch (error) {
      logger.warn({ event: "injector.version_unknown", reason: messageOf(error) });
      return undefined;
    }
  }
}
