import {
  type AuthorizationPolicy,
  isTarget,
  type PeerAuthentication,
  type RequestAuthentication,
  type Targeting,
  targetsOf,
} from "@lateen/mesh-model";
import { defineQuery, type Query } from "../engine/query-engine.ts";
import { type Labels, labelsMatch } from "../lower/proto.ts";
import { sameJson, sameList } from "../resource.ts";
import { compare, listOf, meshConfigOf } from "./services.ts";

/** A workload as policies see it. */
export interface PolicySubject {
  readonly namespace: string;
  readonly labels: Labels;
}
/** What a port accepts. */
export type MtlsMode = "DISABLE" | "PERMISSIVE" | "STRICT";
/** The mTLS modes of a workload. */
export interface PeerPolicy {
  readonly mode: MtlsMode;
  /** By container port. */
  readonly ports: Readonly<Record<string, MtlsMode>>;
  /** Objects that demand mutual TLS, by container port and under the empty name for the workload: `PeerAuthentication ns/name mtls`. */
  readonly demandedBy: Readonly<Record<string, string>>;
}

/** Whether an object of a namespace is for a workload: as target of its namespace, else as its selector says (no selector: all). */
export function selectsWorkload(namespace: string, spec: Targeting, subject: PolicySubject): boolean {
  const targets = targetsOf(spec);
  if (targets.length > 0) return namespace === subject.namespace && isTarget(targets, subject.labels);
  return labelsMatch(spec.selector?.matchLabels ?? {}, subject.labels);
}

type Metadata = PeerAuthentication["metadata"];
function older(a: { readonly metadata: Metadata }, b: { readonly metadata: Metadata }): number {
  const time = (metadata: Metadata) => Date.parse(metadata.creationTimestamp ?? "") || 0;
  return time(a.metadata) - time(b.metadata) || compare(a.metadata.name, b.metadata.name);
}

/**
 * The mTLS mode of a workload: mesh-wide, then namespace-wide, then workload policies, UNSET inheriting; at one level the
 * oldest counts. Port-level modes are honoured with a selector only, as in Istio.
 */
export const peerPolicy = defineQuery<PolicySubject, PeerPolicy>({
  name: "peerPolicy",
  compute: (read, { namespace, labels }) => {
    const { rootNamespace } = meshConfigOf(read);
    const own = [...listOf(read, "PeerAuthentication", namespace)].sort(older);
    const root = [...listOf(read, "PeerAuthentication", rootNamespace)].sort(older);
    const selectorOf = (policy: PeerAuthentication) => policy.spec?.selector?.matchLabels ?? {};
    const wide = (policy: PeerAuthentication) => Object.keys(selectorOf(policy)).length === 0;
    const workload = own.find((policy) => !wide(policy) && labelsMatch(selectorOf(policy), labels));
    const said = [workload, own.find(wide), root.find(wide)].find((policy) => modeOf(policy) !== undefined);
    const mode = modeOf(said) ?? "PERMISSIVE";
    const ports: Record<string, MtlsMode> = {};
    const demandedBy: Record<string, string> = {};
    if (said !== undefined && mode === "STRICT") demandedBy[""] = `${objectText(said)} mtls`;
    for (const [port, setting] of Object.entries(workload?.spec?.portLevelMtls ?? {})) {
      const own = known(setting.mode);
      ports[port] = own ?? mode;
      if (own === "STRICT" && workload !== undefined)
        demandedBy[port] = `${objectText(workload)} portLevelMtls[${port}]`;
    }
    return { mode, ports, demandedBy };
  },
  equal: sameJson,
});

function modeOf(policy: PeerAuthentication | undefined): MtlsMode | undefined {
  return known(policy?.spec?.mtls?.mode);
}
function objectText({ metadata }: PeerAuthentication): string {
  return `PeerAuthentication ${metadata.namespace}/${metadata.name}`;
}
function known(mode: "UNSET" | MtlsMode | undefined): MtlsMode | undefined {
  return mode === "UNSET" ? undefined : mode;
}

/** The mode on one container port. */
export function modeOn(policy: PeerPolicy, port: number): MtlsMode {
  return policy.ports[port] ?? policy.mode;
}

/** Authorization policies that select the workload: of its namespace and of the root namespace, by namespace and name. */
export const authorizationPoliciesFor: Query<PolicySubject, readonly AuthorizationPolicy[]> = defineQuery<
  PolicySubject,
  readonly AuthorizationPolicy[]
>({
  name: "authorizationPolicies",
  compute: (read, subject) => {
    const namespaces = [...new Set([meshConfigOf(read).rootNamespace, subject.namespace])];
    return namespaces
      .flatMap((candidate) => listOf(read, "AuthorizationPolicy", candidate))
      .filter(({ metadata, spec = {} }) => selectsWorkload(metadata.namespace, spec, subject));
  },
  equal: sameList,
});

/** Request authentications that select the workload, of the root namespace and of its own, in the order of their age. */
export const requestAuthenticationsFor: Query<PolicySubject, readonly RequestAuthentication[]> = defineQuery<
  PolicySubject,
  readonly RequestAuthentication[]
>({
  name: "requestAuthentications",
  compute: (read, subject) => {
    const namespaces = [...new Set([meshConfigOf(read).rootNamespace, subject.namespace])];
    return namespaces.flatMap((candidate) =>
      [...listOf(read, "RequestAuthentication", candidate)]
        .sort(older)
        .filter(({ metadata, spec = {} }) => selectsWorkload(metadata.namespace, spec, subject)),
    );
  },
  equal: sameList,
});
