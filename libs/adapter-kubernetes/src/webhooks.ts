import { REVISION_LABEL } from "@lateen/mesh-model";
import type { WebhookConfiguration, WebhookRegistry } from "@lateen/ports";
import type { KubernetesApi } from "./client/api.ts";
import { isFields } from "./client/objects.ts";
import { isRefused } from "./errors.ts";
import { listPages } from "./watch/list.ts";

const PLURALS = {
  MutatingWebhookConfiguration: "mutatingwebhookconfigurations",
  ValidatingWebhookConfiguration: "validatingwebhookconfigurations",
} as const satisfies Readonly<Record<WebhookConfiguration["kind"], string>>;

const LIST_MS = 10_000;
/** Label of a tag's webhooks: the name of the tag. */
export const TAG_LABEL = "istio.io/tag";

/** Writes trust bundles into the API server's webhook configurations. Of two writers at once one is refused, and looks again. */
export function kubernetesWebhooks(api: KubernetesApi): WebhookRegistry {
  return {
    async trust({ kind, name }, caBundlePem) {
      const address = { group: "admissionregistration.k8s.io", version: "v1", plural: PLURALS[kind] };
      const caBundle = Buffer.from(caBundlePem).toString("base64");
      try {
        const { metadata, webhooks } = await api.get(address, name);
        const written = Array.isArray(webhooks) ? webhooks.filter(isFields) : [];
        const trusts = ({ clientConfig }: Readonly<Record<string, unknown>>): boolean =>
          isFields(clientConfig) && clientConfig.caBundle === caBundle;
        if (written.every(trusts)) return "unchanged";
        const trusting = written.map((webhook) => ({
          ...webhook,
          clientConfig: { ...(isFields(webhook.clientConfig) ? webhook.clientConfig : {}), caBundle },
        }));
        // A merge patch replaces lists as a whole: only of the version that was read.
        const { resourceVersion } = metadata;
        await api.patch(address, name, { metadata: { resourceVersion }, webhooks: trusting });
        return "written";
      } catch (error) {
        if (isRefused(error, 404)) return "missing";
        throw error;
      }
    },
    async tagsOf(revision) {
      const found: WebhookConfiguration[] = [];
      const request = {
        ...{ api, fieldSelector: undefined, metadataOnly: true, pageSize: 0, signal: AbortSignal.timeout(LIST_MS) },
        address: { group: "admissionregistration.k8s.io", version: "v1", plural: PLURALS.MutatingWebhookConfiguration },
        labelSelector: `${REVISION_LABEL}=${revision},${TAG_LABEL}`,
      };
      await listPages(request, ({ metadata }) => {
        found.push({ kind: "MutatingWebhookConfiguration", name: metadata.name });
      });
      return found;
    },
  };
}
