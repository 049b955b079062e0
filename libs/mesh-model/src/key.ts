import type { Brand } from "@lateen/kernel";
import type { KindName } from "./kinds/index.ts";

/** `Kind/namespace/name`; the namespace is empty for cluster-scoped kinds. */
export type ResourceKey = Brand<string, "ResourceKey">;

export function resourceKey(kind: KindName, namespace: string, name: string): ResourceKey {
  return `${kind}/${namespace}/${name}` as ResourceKey;
}
export function keyOf(resource: {
  readonly kind: KindName;
  readonly metadata: { readonly namespace: string; readonly name: string };
}): ResourceKey {
  return resourceKey(resource.kind, resource.metadata.namespace, resource.metadata.name);
}
export function parseResourceKey(
  key: string,
): { readonly kind: KindName; readonly namespace: string; readonly name: string } | undefined {
  const [kind, namespace, name, extra] = key.split("/");
  if (kind === undefined || namespace === undefined || !name || extra !== undefined) return undefined;
  return { kind: kind as KindName, namespace, name };
}
