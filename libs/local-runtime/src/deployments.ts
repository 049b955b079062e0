import { createHash } from "node:crypto";
import { type Random, randomInt } from "@lateen/kernel";
import { type Deployment, labelsMatch, type Service } from "@lateen/mesh-model";
import type { PodBlueprint } from "./pod/types.ts";
import { type RolloutGoal, scaledCount } from "./rollout.ts";

/** Letters Kubernetes uses in generated names: no vowels, nothing that looks like another. */
const NAME_LETTERS = "bcdfghjklmnpqrstvwxz2456789";

/** `namespace/name` of a Deployment. */
export function deploymentId(deployment: Deployment): string {
  return `${deployment.metadata.namespace}/${deployment.metadata.name}`;
}

type Template = Deployment["spec"]["template"];

/** Ten letters that change exactly when the pod template changes. */
export function templateHash(template: Template): string {
  const digest = createHash("sha256")
    .update(JSON.stringify(sorted(template)))
    .digest();
  return [...digest.subarray(0, 10)].map((byte) => NAME_LETTERS[byte % NAME_LETTERS.length]).join("");
}

/** Five random letters. */
export function randomSuffix(random: Random): string {
  return Array.from({ length: 5 }, () => NAME_LETTERS[randomInt(random, NAME_LETTERS.length)]).join("");
}

/** What the Deployment asks for; Kubernetes' defaults are 1 replica, 25 % surge and 25 % unavailable. */
export function rolloutGoal(deployment: Deployment): RolloutGoal {
  const replicas = deployment.spec.replicas ?? 1;
  const strategy = record(deployment.spec.strategy);
  const rolling = record(strategy.rollingUpdate);
  return {
    replicas,
    templateHash: templateHash(deployment.spec.template),
    strategy: strategy.type === "Recreate" ? "Recreate" : "RollingUpdate",
    maxSurge: scaledCount(rolling.maxSurge, replicas, "up", Math.max(1, Math.ceil(replicas * 0.25))),
    maxUnavailable: scaledCount(rolling.maxUnavailable, replicas, "down", Math.floor(replicas * 0.25)),
  };
}

/** The next pod of a Deployment. */
export function podBlueprint(deployment: Deployment, services: readonly Service[], random: Random): PodBlueprint {
  const { metadata, spec } = deployment;
  const name = `${metadata.name}-${templateHash(spec.template)}-${randomSuffix(random)}`;
  return podOfTemplate({ metadata, template: spec.template }, name, services);
}

/** A pod of that name from what a controller's template says. */
export function podOfTemplate(
  owner: { readonly metadata: Deployment["metadata"]; readonly template: Template },
  name: string,
  services: readonly Service[],
): PodBlueprint {
  const { metadata, template } = owner;
  const labels = template.metadata?.labels ?? {};
  return {
    namespace: metadata.namespace,
    name,
    workload: metadata.name,
    serviceAccount: template.spec.serviceAccountName || template.spec.serviceAccount || "default",
    labels,
    annotations: template.metadata?.annotations ?? {},
    spec: template.spec,
    templateHash: templateHash(template),
    kind: "workload",
    extraPorts: servicePorts(services, labels),
  };
}

/** Numeric target ports of the services that select these labels: they need a listener even where no containerPort is declared. */
function servicePorts(services: readonly Service[], labels: Readonly<Record<string, string>>): readonly number[] {
  const ports = new Set<number>();
  for (const service of services) {
    const selector = service.spec.selector ?? {};
    if (Object.keys(selector).length === 0 || !labelsMatch(selector, labels)) continue;
    for (const port of service.spec.ports ?? []) {
      const target = port.targetPort ?? port.port;
      if (typeof target === "number" && (port.protocol ?? "TCP") === "TCP") ports.add(target);
    }
  }
  return [...ports];
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, entry]) => [key, sorted(entry)]),
  );
}
