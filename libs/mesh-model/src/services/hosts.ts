import type { ServiceHost } from "./types.ts";

/** DNS domain of Kubernetes services. */
export const DEFAULT_DOMAIN = "cluster.local";

/** `name.namespace.svc.domain` */
export function kubernetesHost(name: string, namespace: string, domain: string = DEFAULT_DOMAIN): ServiceHost {
  return `${name}.${namespace}.svc.${domain}`.toLowerCase() as ServiceHost;
}

/**
 * The full name a host in a rule stands for: a name without a dot means the service of that name in the rule's namespace;
 * anything with a dot or `*` is used as it is (Istio's rule). Lower case, without a trailing dot.
 */
export function shortHostToFqdn(host: string, namespace: string, domain: string = DEFAULT_DOMAIN): string {
  const name = host.endsWith(".") ? host.slice(0, -1).toLowerCase() : host.toLowerCase();
  return name.includes(".") || name.includes("*") ? name : `${name}.${namespace}.svc.${domain}`;
}

/** Whether a host pattern covers a host: exact, `*.suffix` (any depth, not the suffix itself) or `*`. Case is ignored. */
export function hostMatches(pattern: string, host: string): boolean {
  const wanted = pattern.toLowerCase();
  const actual = host.toLowerCase();
  if (wanted === "*" || wanted === actual) return true;
  if (!wanted.startsWith("*")) return false;
  const suffix = wanted.slice(1);
  return actual.length > suffix.length && actual.endsWith(suffix);
}

/** Whether two host patterns can name a common host. */
export function hostsIntersect(a: string, b: string): boolean {
  const left = a.toLowerCase();
  const right = b.toLowerCase();
  if (left.startsWith("*") && right.startsWith("*")) {
    return left.slice(1).endsWith(right.slice(1)) || right.slice(1).endsWith(left.slice(1));
  }
  return hostMatches(left, right) || hostMatches(right, left);
}
