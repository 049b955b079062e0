import { type BackendTLSPolicy, type DestinationRule, kubernetesHost } from "@lateen/mesh-model";
import { rootsProblem } from "./certificates.ts";
import { type Condition, condition, type Problem } from "./conditions.ts";
import { annotations, CONTROLLER, GATEWAY_MARK, parentName } from "./names.ts";
import type { ConvertWorld } from "./world.ts";

/** A BackendTLSPolicy as destination rules, one for each Service it is for. */
export interface ConvertedBackendTls {
  readonly rules: readonly DestinationRule[];
  readonly ancestors: readonly {
    readonly ancestorRef: { readonly group: string; readonly kind: string; readonly name: string };
    readonly controllerName: string;
    readonly conditions: readonly Condition[];
  }[];
}

type Target = BackendTLSPolicy["spec"]["targetRefs"][number];
type Validation = BackendTLSPolicy["spec"]["validation"];
type ClientTls = NonNullable<NonNullable<DestinationRule["spec"]["trafficPolicy"]>["tls"]>;

/**
 * Converts a policy. Of several for one Service, or one port of it, the oldest holds; `older` are the namespace's policies that come
 * before it. One whose roots cannot be had is converted all the same, trusting nobody: requests fail rather than go out
 * unprotected.
 */
export function convertBackendTls(
  policy: BackendTLSPolicy,
  older: readonly BackendTLSPolicy[],
  world: ConvertWorld,
): ConvertedBackendTls {
  const { namespace, name, creationTimestamp } = policy.metadata;
  const { targetRefs, validation } = policy.spec;
  const roots = rootProblems(validation, namespace, world);
  const tls = clientTls(validation, namespace, roots.length > 0);
  const targets = targetRefs.map((target) => ({
    target,
    problems: [...targetProblems(target, namespace, world), ...conflictProblems(target, older)],
  }));
  return {
    rules: targets
      .filter(({ problems }) => problems.length === 0)
      .map(({ target }, index) => {
        const host = kubernetesHost(target.name, namespace, world.domain);
        const port = world.service(host)?.ports.find((candidate) => candidate.name === target.sectionName);
        const section = target.sectionName !== undefined && port !== undefined;
        return {
          apiVersion: "networking.istio.io/v1",
          kind: "DestinationRule" as const,
          metadata: {
            name: `${name}-${index}-${GATEWAY_MARK}`,
            namespace,
            ...(creationTimestamp === undefined ? {} : { creationTimestamp }),
            annotations: { [annotations.parents]: parentName(policy) },
          },
          spec: {
            host,
            trafficPolicy: section ? { portLevelSettings: [{ port: { number: port.number }, tls }] } : { tls },
          },
        };
      }),
    ancestors: targets.map(({ target: { group, kind, name: service }, problems }) => ({
      ancestorRef: { group, kind, name: service },
      controllerName: CONTROLLER,
      conditions: [
        condition("Accepted", "Accepted", [
          ...problems,
          ...roots.map(({ message }) => ({ reason: "NoValidCACertificate", message })),
        ]),
        condition("ResolvedRefs", "ResolvedRefs", roots),
      ],
    })),
  };
}

function targetProblems(
  { group, kind, name, sectionName }: BackendTLSPolicy["spec"]["targetRefs"][number],
  namespace: string,
  world: ConvertWorld,
): readonly Problem[] {
  if (group !== "" || kind !== "Service") {
    return [{ reason: "Invalid", message: `a target is a Service, not a ${kind}` }];
  }
  const service = world.service(kubernetesHost(name, namespace, world.domain));
  if (service === undefined)
    return [{ reason: "TargetNotFound", message: `Service ${namespace}/${name} does not exist` }];
  if (sectionName === undefined || service.ports.some((port) => port.name === sectionName)) return [];
  return [{ reason: "TargetNotFound", message: `Service ${namespace}/${name} has no port named ${sectionName}` }];
}

function conflictProblems(target: Target, older: readonly BackendTLSPolicy[]): readonly Problem[] {
  const same = (other: Target) =>
    other.group === target.group &&
    other.kind === target.kind &&
    other.name === target.name &&
    other.sectionName === target.sectionName;
  const first = older.find(({ spec }) => spec.targetRefs.some(same));
  if (first === undefined) return [];
  return [
    { reason: "Conflicted", message: `BackendTLSPolicy ${first.metadata.name} is older and for the same target` },
  ];
}

function rootProblems(validation: Validation, namespace: string, world: ConvertWorld): readonly Problem[] {
  const refs = validation.caCertificateRefs ?? [];
  if (refs.length > 1) {
    return [{ reason: "InvalidCACertificateRef", message: "only one caCertificateRef is supported" }];
  }
  return refs.flatMap(({ group, kind, name }): readonly Problem[] => {
    if (group !== "" || kind !== "ConfigMap") {
      return [{ reason: "InvalidKind", message: `roots are in a ConfigMap, not a ${kind}` }];
    }
    const map = world.configMap(namespace, name);
    const problem = map === undefined ? "it does not exist" : rootsProblem(map.data?.["ca.crt"] ?? "");
    if (problem === undefined) return [];
    const message = `ca.crt of ConfigMap ${namespace}/${name} cannot be used: ${problem}`;
    return [{ reason: "InvalidCACertificateRef", message }];
  });
}

function clientTls(validation: Validation, namespace: string, broken: boolean): ClientTls {
  const [root] = validation.caCertificateRefs ?? [];
  const names = (validation.subjectAltNames ?? []).map(({ hostname, uri }) => hostname ?? uri ?? "");
  return {
    mode: "SIMPLE",
    sni: validation.hostname,
    subjectAltNames: names.length > 0 ? names : [validation.hostname],
    ...(broken || root !== undefined ? { credentialName: `configmap://${namespace}/${root?.name ?? "none"}` } : {}),
  };
}
