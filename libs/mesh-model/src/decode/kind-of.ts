import { nearestName } from "@lateen/kernel";
import { type KindName, kindNameOf, kinds } from "../kinds/index.ts";

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

/** Names of Kubernetes kinds that resemble ours and are no typing errors. */
const HARMLESS: ReadonlySet<string> = new Set(["Role", "Node", "Event", "Lease", "PodTemplate", "Binding"]);

/**
 * Kubernetes kinds whose absence a user would notice, and what that means. They are left out with a warning, like every
 * foreign kind: an installation's other files must keep working.
 */
const MISSED: Readonly<Record<string, string>> = {
  DaemonSet: "its pods do not run; use a Deployment",
  ReplicaSet: "its pods do not run; use a Deployment",
  ReplicationController: "its pods do not run; use a Deployment",
  Job: "it does not run",
  CronJob: "it does not run",
  NetworkPolicy: "traffic that it forbids stays allowed; use an AuthorizationPolicy",
};

/** Kinds of the mesh's API that this release refuses: accepting them would promise what is not enforced. */
const UNSUPPORTED: ReadonlySet<string> = new Set([
  "WorkloadGroup",
  "TrafficExtension",
  "IstioOperator",
  "UDPRoute",
  "ListenerSet",
]);

/** Looks a kind up by what the document says. Versions that Istio or Kubernetes treat as aliases give the canonical one. */
export function lookUpKind(apiVersion: string, kind: string): KindLookup {
  const slash = apiVersion.indexOf("/");
  const group = slash < 0 ? "" : apiVersion.slice(0, slash);
  const version = apiVersion.slice(slash + 1);
  const name = kindNameOf(group, kind);
  if (name !== undefined) {
    const versions: readonly string[] = kinds[name].versions;
    if (!versions.includes(version)) {
      const wanted = versions.map((known) => withGroup(group, known));
      return unknown("apiVersion", `${kind} has no apiVersion "${apiVersion}"`, `use ${wanted.join(" or ")}`);
    }
    return { outcome: "known", kind: name, apiVersion: withGroup(group, kinds[name].versions[0]) };
  }
  const definition = Object.hasOwn(kinds, kind) ? kinds[kind as KindName] : undefined;
  if (MESH_GROUPS.has(group)) return lookUpMeshKind(group, kind);
  if (isKubernetes(group)) return lookUpKubernetesKind(group, kind);
  const nearGroup = nearestName(group, MESH_GROUPS, TYPING_ERROR);
  // Others have a Service or a Gateway too: only a group that means Istio makes the kind ours.
  if (nearGroup !== undefined || group.endsWith("istio.io")) {
    const hint =
      definition === undefined
        ? `did you mean "${nearGroup ?? "networking.istio.io"}"?`
        : `use ${withGroup(definition.group, definition.versions[0])}`;
    return unknown("apiVersion", `apiVersion "${apiVersion}" is not known for kind ${kind}`, hint);
  }
  return ignored(`${kind} of ${group}`);
}

function lookUpMeshKind(group: string, kind: string): KindLookup {
  const known = Object.entries(kinds).filter(([, definition]) => definition.group === group);
  const nearest = UNSUPPORTED.has(kind)
    ? undefined
    : nearestName(
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
  const missed = Object.hasOwn(MISSED, kind) ? MISSED[kind] : undefined;
  if (missed !== undefined) return ignored(kind, missed);
  const exact = Object.hasOwn(kinds, kind) ? kinds[kind as KindName] : undefined;
  if (exact !== undefined) {
    return unknown(
      "apiVersion",
      `kind ${kind} does not belong to "${group || "v1"}"`,
      `use ${withGroup(exact.group, exact.versions[0])}`,
    );
  }
  const nearest = misspelt(kind, Object.keys(kinds));
  if (nearest !== undefined) return unknown("kind", `kind "${kind}" is not known`, `did you mean "${nearest}"?`);
  return ignored(kind);
}

/** Letters that a foreign word may differ by and still be called a misspelling of ours. */
const TYPING_ERROR = 2;

function misspelt(kind: string, candidates: readonly string[]): string | undefined {
  return HARMLESS.has(kind) ? undefined : nearestName(kind, candidates, TYPING_ERROR);
}

function ignored(kind: string, consequence?: string): KindLookup {
  return {
    outcome: "ignored",
    reason: `kind ${kind} is not handled by Lateen; ${consequence ?? "it is left out"}`,
  };
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
