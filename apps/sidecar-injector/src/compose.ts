import { signCsr } from "@lateen/adapter-grpc";
import {
  askMinor,
  kubernetesConfigSource,
  kubernetesWebhooks,
  minorOf,
  openKubernetes,
} from "@lateen/adapter-kubernetes";
import { fileConfigSource } from "@lateen/adapter-local";
import { createInjector, injectorRoutes, proxyConfigsOfDocuments } from "@lateen/injector";
import { systemClock } from "@lateen/kernel";
import { controlAccount } from "@lateen/mesh-model";
import { componentIdentity, keepCaBundles } from "@lateen/pki";
import {
  badConfiguration,
  followTexts,
  type MainContext,
  serveStatus,
  serveWebhooks,
  writePorts,
} from "@lateen/runtime";
import type { SidecarInjectorConfig } from "./config.ts";

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
  const api = isInCluster(config) || config.webhook.length > 0 ? await openKubernetes(cluster) : undefined;
  const kubernetesMinor =
    minorOf(config.kubernetesVersion) ?? (api === undefined ? undefined : await askMinor(api, logger));
  const files = { config: config.injectionConfig, values: config.values, mesh: config.meshConfig };
  const texts = await followTexts(files, { scope, clock, logger }, (read) => {
    injector.update({ ...read, kubernetesMinor });
  });
  const injector = createInjector({ ...texts, kubernetesMinor }, logger);
  let known = false;
  let serving = false;
  const metrics = await serveStatus({
    host: httpHost,
    port: config.metricsPort,
    missing: () => [...(known ? [] : ["configuration"]), ...(serving ? [] : ["certificate"])],
    metrics: () => injector.metrics(),
    scope,
    logger,
  });
  await writePorts(config.portsFile, { metrics });
  const source =
    isInCluster(config) && api !== undefined
      ? kubernetesConfigSource(api, { revision: config.revision, kinds: ["ProxyConfig"], logger, clock })
      : fileConfigSource(config.config, { logger });
  const proxyConfigs = proxyConfigsOfDocuments(logger);
  // A pod that is created before they are known would go without what they say until its next rollout.
  if (config.config.length > 0)
    await source.watch(scope, (documents) => injector.takeProxyConfigs(proxyConfigs(documents)));
  known = true;
  const identity = await componentIdentity({
    settings: config,
    serviceAccount: controlAccount("sidecar-injector", config.revision),
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
      tagsOf: config.revision,
      rootPem: () => identity.tls().rootPem,
    });
    identity.onRenewed(look);
  }
  serving = true;
  await writePorts(config.portsFile, { webhook: face.port, metrics });
  logger.info({ event: "sidecar_injector.serving", webhook: face.port, metrics, kubernetesMinor });
}

/** @throws LTN6003 for the API server beside files. */
function isInCluster({ config }: SidecarInjectorConfig): boolean {
  if (!config.includes("kubernetes")) return false;
  if (config.length > 1) throw badConfiguration(["--config kubernetes cannot be mixed with files"]);
  return true;
}
