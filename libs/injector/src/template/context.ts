import type { InjectionConfig } from "../config/injection-config.ts";
import { imageOf } from "../config/values.ts";
import { type JsonObject, objectOf, textOf } from "../json.ts";
import type { PodOwner } from "../owner.ts";
import type { PodSettings } from "../settings.ts";

/** What a template makes its part of the pod from. */
export interface TemplateContext {
  readonly metadata: JsonObject;
  readonly spec: JsonObject;
  readonly owner: PodOwner;
  readonly config: InjectionConfig;
  readonly settings: PodSettings;
  /** The proxy is an init container that keeps running. */
  readonly native: boolean;
  /** Cluster and network that the webhook's path names. */
  readonly place: { readonly cluster?: string | undefined; readonly network?: string | undefined };
  /** App containers, without the proxy's. */
  readonly apps: readonly JsonObject[];
  /** What the status port asks the application, as ISTIO_KUBE_APP_PROBERS; empty: nothing. */
  readonly probers: string;
  /** ISTIO_PROMETHEUS_ANNOTATIONS; empty: the application's metrics are not merged. */
  readonly prometheus: string;
}

/** The proxy's image: by annotation, else the installation's; `proxyImageType` changes the variant. */
export function proxyImage({ config: { values, writtenValues }, settings }: TemplateContext): string {
  if (settings.image !== undefined) return settings.image;
  if (settings.imageType === undefined) return values.proxyImage;
  const { hub, tag, proxy } = objectOf(writtenValues.global);
  const variant = settings.imageType === "default" ? "" : settings.imageType;
  return imageOf(
    {
      ...(textOf(hub) === undefined ? {} : { hub: String(hub) }),
      ...(tag === undefined || tag === "" ? {} : { tag: String(tag) }),
      variant,
    },
    textOf(objectOf(proxy).image) ?? "sidecar",
  );
}

/** User and group of the proxy, whose connections are not captured. */
export const PROXY_ID = 1337;

/** What meets the Pod Security Standard `restricted`. */
export function restricted({ config: { values } }: TemplateContext): JsonObject {
  return {
    allowPrivilegeEscalation: false,
    capabilities: { drop: ["ALL"] },
    privileged: false,
    readOnlyRootFilesystem: true,
    runAsGroup: PROXY_ID,
    runAsNonRoot: true,
    runAsUser: PROXY_ID,
    seccompProfile: values.seccompProfile,
  };
}
