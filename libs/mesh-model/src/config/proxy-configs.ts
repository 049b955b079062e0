import type { Resource } from "../kinds/index.ts";
import { labelsMatch } from "../services/endpoints.ts";

/** What ProxyConfig objects say of one proxy, all levels together. */
export interface EffectiveProxyConfig {
  /** Undefined: they do not say. 0: one thread for each processor. */
  readonly concurrency: number | undefined;
  readonly environmentVariables: Readonly<Record<string, string>>;
  /** Ending of the image's tag, `default` for none. Undefined: they do not say. */
  readonly imageType: string | undefined;
}

/** Form of `image.imageType`, which becomes the ending of a tag. */
export const IMAGE_TYPE_FORM = /^[a-z0-9][a-z0-9.-]{0,62}$/;

/**
 * What the ProxyConfig objects say of the proxy of a workload, field by field the most specific: of the workload, of its namespace, of the root
 * namespace; variables one by one. Of several on one level the oldest holds (Istio's networking/v1beta1 ProxyConfig). Below it is `defaultConfig` of the mesh,
 * above it annotation `proxy.istio.io/config`.
 */
export function effectiveProxyConfig(
  all: readonly Resource<"ProxyConfig">[],
  workload: {
    readonly rootNamespace: string;
    readonly namespace: string;
    readonly labels: Readonly<Record<string, string>>;
  },
): EffectiveProxyConfig {
  const { rootNamespace, namespace, labels } = workload;
  const levels = [
    oldest(all, rootNamespace, undefined),
    ...(namespace === rootNamespace ? [] : [oldest(all, namespace, undefined)]),
    oldest(all, namespace, labels),
  ];
  const specs = levels.flatMap((object) => object?.spec ?? []);
  return {
    concurrency: specs.findLast((spec) => spec.concurrency !== undefined)?.concurrency,
    environmentVariables: Object.assign({}, ...specs.map((spec) => spec.environmentVariables ?? {})) as Record<
      string,
      string
    >,
    imageType: specs.findLast((spec) => (spec.image?.imageType ?? "") !== "")?.image?.imageType,
  };
}

/** With labels the oldest object whose selector they meet, without the oldest that has none. */
function oldest(
  all: readonly Resource<"ProxyConfig">[],
  namespace: string,
  labels: Readonly<Record<string, string>> | undefined,
): Resource<"ProxyConfig"> | undefined {
  const age = ({ metadata }: Resource<"ProxyConfig">) => Date.parse(metadata.creationTimestamp ?? "") || 0;
  return all
    .filter(({ metadata, spec }) => {
      if (metadata.namespace !== namespace) return false;
      const selector = spec?.selector?.matchLabels ?? {};
      const isWide = Object.keys(selector).length === 0;
      return labels === undefined ? isWide : !isWide && labelsMatch(selector, labels);
    })
    .sort((a, b) => age(a) - age(b) || (a.metadata.name < b.metadata.name ? -1 : 1))[0];
}
