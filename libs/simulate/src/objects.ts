/**
 * The Istio object behind the name of an RBAC policy, `ns[default]-policy[reviews]-rule[0]`; undefined for names of another form.
 */
export function objectOfPolicy(name: string | undefined): string | undefined {
  const [, namespace, policy, rule] = /^ns\[(.*)\]-policy\[(.*)\]-rule\[(\d+)\]$/.exec(name ?? "") ?? [];
  return namespace === undefined ? undefined : `AuthorizationPolicy ${namespace}/${policy} rule[${rule}]`;
}

const KINDS: Readonly<Record<string, string>> = {
  "virtual-service": "VirtualService",
  "destination-rule": "DestinationRule",
};

/** `/apis/networking.istio.io/v1alpha3/namespaces/NS/virtual-service/NAME` as `VirtualService NS/NAME`; other texts as they are. */
export function objectOfConfig(path: string | undefined): string | undefined {
  const [, namespace, kind = "", name] =
    /^\/apis\/[^/]+\/[^/]+\/namespaces\/([^/]+)\/([^/]+)\/(.+)$/.exec(path ?? "") ?? [];
  return name === undefined ? path : `${KINDS[kind] ?? kind} ${namespace}/${name}`;
}
