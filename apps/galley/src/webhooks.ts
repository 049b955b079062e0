import { kubernetesWebhooks, openKubernetes } from "@lateen/adapter-kubernetes";
import { type AdmissionValidator, validationRoutes } from "@lateen/galley";
import type { Clock } from "@lateen/kernel";
import { type ComponentIdentity, keepCaBundles } from "@lateen/pki";
import { type MainContext, serveWebhooks } from "@lateen/runtime";
import type { GalleyConfig } from "./config.ts";

/**
 * Serves `POST /validate`, which needs no lead: every replica judges alike. Keeps the certificate's root in the named webhook configurations.
 * @returns the port.
 */
export async function serveValidation(
  config: Pick<GalleyConfig, "host" | "webhookPort" | "webhook" | "kubeconfig" | "kubeContext">,
  validator: AdmissionValidator,
  {
    identity,
    clock,
    scope,
    logger,
  }: Pick<MainContext, "scope" | "logger"> & {
    readonly identity: ComponentIdentity;
    readonly clock: Clock;
  },
): Promise<number> {
  const face = await serveWebhooks({
    ...{ host: config.host, port: config.webhookPort, scope, logger },
    tls: identity.tls(),
    routes: async (app) => void (await app.register(validationRoutes(validator))),
  });
  identity.onRenewed(face.updateTls);
  if (config.webhook.length > 0) {
    const api = await openKubernetes({ kubeconfig: config.kubeconfig, context: config.kubeContext, clock, scope });
    const look = keepCaBundles({
      ...{ webhooks: kubernetesWebhooks(api), clock, random: { next: Math.random }, scope, logger },
      configurations: config.webhook.map((name) => ({ kind: "ValidatingWebhookConfiguration", name })),
      rootPem: () => identity.tls().rootPem,
    });
    identity.onRenewed(look);
  }
  return face.port;
}
