/** A collection of objects of the Kubernetes API. */
export interface ResourceAddress {
  /** Empty for the core group. */
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  /** Left out: of all namespaces, or not namespaced. */
  readonly namespace?: string;
}

/** Path of the collection. */
export function collectionPath({ group, version, plural, namespace }: ResourceAddress): string {
  const root = group === "" ? `/api/${version}` : `/apis/${group}/${version}`;
  return namespace === undefined
    ? `${root}/${plural}`
    : `${root}/namespaces/${encodeURIComponent(namespace)}/${plural}`;
}

/** Path of one object of the collection. */
export function objectPath(address: ResourceAddress, name: string, subresource?: "status"): string {
  return `${collectionPath(address)}/${encodeURIComponent(name)}${subresource === undefined ? "" : `/${subresource}`}`;
}

/** `apiVersion` of its objects. */
export function apiVersionOf({ group, version }: Pick<ResourceAddress, "group" | "version">): string {
  return group === "" ? version : `${group}/${version}`;
}
