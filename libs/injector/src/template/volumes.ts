import type { JsonObject } from "../json.ts";
import type { TemplateContext } from "./context.ts";

/** Where everything is that a proxy in a pod reads or writes; Istio's paths. */
export const podPaths = {
  workloadSocket: "/var/run/secrets/workload-spiffe-uds",
  credentialSocket: "/var/run/secrets/credential-uds",
  workloadCertificates: "/var/run/secrets/workload-spiffe-credentials",
  rootCertificate: "/var/run/secrets/istio",
  data: "/var/lib/istio/data",
  proxy: "/etc/istio/proxy",
  token: "/var/run/secrets/tokens",
  podInfo: "/etc/istio/pod",
} as const;

/** Life of the projected token; the kubelet replaces it at 80 % of it. */
const TOKEN_SECONDS = 43_200;

/** Volumes of the proxy, besides those that an annotation asks for. */
export function proxyVolumes({ config: { values }, settings }: TemplateContext): readonly JsonObject[] {
  const info = (path: string): JsonObject => ({ path, fieldRef: { fieldPath: `metadata.${path}` } });
  return [
    { name: "workload-socket", emptyDir: {} },
    { name: "credential-socket", emptyDir: {} },
    { name: "workload-certs", emptyDir: {} },
    { name: "istiod-ca-cert", configMap: { name: "istio-ca-root-cert" } },
    { name: "istio-data", emptyDir: {} },
    // Keys are kept here: in memory, never on a disk.
    { name: "istio-envoy", emptyDir: { medium: "Memory" } },
    {
      name: "istio-token",
      projected: {
        sources: [
          {
            serviceAccountToken: {
              path: "istio-token",
              expirationSeconds: TOKEN_SECONDS,
              audience: values.tokenAudience,
            },
          },
        ],
      },
    },
    { name: "istio-podinfo", downwardAPI: { items: [info("labels"), info("annotations")] } },
    ...(settings.bootstrapOverride === undefined
      ? []
      : [{ name: "custom-bootstrap-volume", configMap: { name: settings.bootstrapOverride } }]),
    ...settings.userVolumes,
  ];
}

/** The same volumes as the proxy's container mounts them. */
export function proxyMounts({ settings }: TemplateContext): readonly JsonObject[] {
  const mount = (name: string, mountPath: string): JsonObject => ({ name, mountPath });
  return [
    mount("workload-socket", podPaths.workloadSocket),
    mount("credential-socket", podPaths.credentialSocket),
    mount("workload-certs", podPaths.workloadCertificates),
    mount("istiod-ca-cert", podPaths.rootCertificate),
    mount("istio-data", podPaths.data),
    mount("istio-envoy", podPaths.proxy),
    mount("istio-token", podPaths.token),
    mount("istio-podinfo", podPaths.podInfo),
    ...(settings.bootstrapOverride === undefined
      ? []
      : [mount("custom-bootstrap-volume", "/etc/istio/custom-bootstrap")]),
    ...settings.userVolumeMounts,
  ];
}
