import { nearestName } from "@lateen/kernel";
import { type KindName, kinds } from "../kinds/index.ts";

/** What `apiVersion` and `kind` stand for. */
export type KindLookup =
  | { readonly outcome: "known"; readonly kind: KindName; readonly apiVersion: string }
  | { readonly outcome: "ignored"; readonly reason: string }
  | { readonly outcome: "unsupported"; readonly reason: string }
  | {
      readonly outcome: "unknown";
      readonly reason: string;
      readonly hint?: string;
      readonly field: "apiVersion" | "kind";
    };

const MESH_GROUPS: ReadonlySet<string> = new Set([
  "networking.istio.io",
  "security.istio.io",
  "telemetry.istio.io",
  "extensions.istio.io",
  "install.istio.io",
  "config.istio.io",
  "rbac.istio.io",
  "authentication.istio.io",
  "gateway.networking.k8s.io",
  "lateen.dev",
]);

/** Kubernetes kinds whose absence changes nothing about the mesh on this machine: permissions, storage, scaling, quotas. */
const HARMLESS: ReadonlySet<string> = new Set([
  "ClusterRole",
  "ClusterRoleBinding",
  "Role",
  "RoleBinding",
  "PersistentVolumeClaim",
  "PersistentVolume",
  "StorageClass",
  "HorizontalPodAutoscaler",
  "PodDisruptionBudget",
  "PodSecurityPolicy",
  "LimitRange",
  "ResourceQuota",
  "PriorityClass",
  "CustomResourceDefinition",
  "MutatingWebhookConfiguration",
  "ValidatingWebhookConfiguration",
  "Node",
  "Event",
  "Lease",
  "IngressClass",
  "RuntimeClass",
]);

/** Kubernetes kinds that a user would miss: dropping them silently would leave something unprotected or not running. */
const REFUSED: Readonly<Record<string, string>> = {
  StatefulSet: "use a Deployment",
  DaemonSet: "use a Deployment",
  ReplicaSet: "use a Deployment",
  ReplicationController: "use a Deployment",
  Job: "run it as a Deployment or outside the mesh",
  CronJob: "run it as a Deployment or outside the mesh",
  Ingress: "use a Gateway and a VirtualService",
  NetworkPolicy: "use an AuthorizationPolicy",
};

/** Looks a kind up by what the document says. Versions that Istio or Kubernetes treat as aliases give the canonical one. */
export function lookUpKind(apiVersion: string, kind: string): KindLookup {
  const slash = apiVersion.indexOf("/");
  const group = slash < 0 ? "" : apiVersion.slice(0, slash);
  const version = apiVersion.slice(slash + 1);
  const definition = Object.hasOwn(kinds, kind) ? kinds[kind as KindName] : undefined;
  if (definition !== undefined && definition.group === group) {
    if (!definition.versions.includes(version)) {
      const wanted = definition.versions.map((known) => withGroup(group, known));
      return unknown("apiVersion", `${kind} has no apiVersion "${apiVersion}"`, `use ${wanted.join(" or ")}`);
    }
    return { outcome: "known", kind: kind as KindName, apiVersion: withGroup(group, definition.versions[0]) };
  }
  if (MESH_GROUPS.has(group)) return lookUpMeshKind(group, kind);
  if (isKubernetes(group)) return lookUpKubernetesKind(group, kind);
  const nearGroup = nearestName(group, MESH_GROUPS);
  if (nearGroup !== undefined || definition !== undefined) {
    const hint = definition
      ? `use ${withGroup(definition.group, definition.versions[0])}`
      : `did you mean "${nearGroup}"?`;
    return unknown("apiVersion", `apiVersion "${apiVersion}" is not known for kind ${kind}`, hint);
  }
  return { outcome: "ignored", reason: `kind ${kind} of ${group} is not part of the mesh; it is left out` };
}

function lookUpMeshKind(group: string, kind: string): KindLookup {
  const known = Object.entries(kinds).filter(([, definition]) => definition.group === group);
  const nearest = nearestName(
    kind,
    known.map(([name]) => name),
  );
  if (nearest !== undefined) return unknown("kind", `kind "${kind}" is not known`, `did you mean "${nearest}"?`);
  return {
    outcome: "unsupported",
    reason: `kind ${kind} of ${group} is not supported yet: it would be accepted and not enforced`,
  };
}

function lookUpKubernetesKind(group: string, kind: string): KindLookup {
  if (HARMLESS.has(kind)) return { outcome: "ignored", reason: `kind ${kind} is not part of the mesh; it is left out` };
  const instead = Object.hasOwn(REFUSED, kind) ? REFUSED[kind] : undefined;
  if (instead !== undefined) return { outcome: "unsupported", reason: `kind ${kind} is not supported yet; ${instead}` };
  const nearest = nearestName(kind, [...Object.keys(kinds), ...Object.keys(REFUSED)]);
  const exact = Object.hasOwn(kinds, kind) ? kinds[kind as KindName] : undefined;
  if (exact !== undefined) {
    return unknown(
      "apiVersion",
      `kind ${kind} does not belong to "${group || "v1"}"`,
      `use ${withGroup(exact.group, exact.versions[0])}`,
    );
  }
  if (nearest !== undefined) return unknown("kind", `kind "${kind}" is not known`, `did you mean "${nearest}"?`);
  return { outcome: "ignored", reason: `kind ${kind} is not part of the mesh; it is left out` };
}

function isKubernetes(group: string): boolean {
  return group === "" || !group.includes(".") || group.endsWith(".k8s.io");
}

function withGroup(group: string, version: string): string {
  return group === "" ? version : `${group}/${version}`;
}

function unknown(field: "apiVersion" | "kind", reason: string, hint: string): KindLookup {
  return { outcome: "unknown", field, reason, hint };
}
