import { randomUUID } from "node:crypto";
import type { Logger, Random } from "@lateen/kernel";
import type { Deployment, StatefulSet } from "@lateen/mesh-model";
import { deploymentId, podBlueprint, randomSuffix, rolloutGoal } from "./deployments.ts";
import { gatewayOwner } from "./gateway-api.ts";
import { egressGateway, type GatewayFlavor, gatewayBlueprint, ingressGateway } from "./gateways.ts";
import type { PodDependencies } from "./pod/dependencies.ts";
import { type JoinedApp, Pod } from "./pod/pod.ts";
import type { PodBlueprint, PodView } from "./pod/types.ts";
import { planRollout } from "./rollout.ts";
import { memberBlueprint, ordinalOf, planStatefulSet, statefulSetGoal, statefulSetId } from "./stateful-sets.ts";

export interface PodSetOptions {
  readonly deps: PodDependencies;
  readonly random: Random;
  readonly logger: Logger;
  /** Resolves when the proxies know that a pod has left the endpoints, and its application may be ended. */
  readonly deregistered: () => Promise<void>;
  /** What pods changed; the registry file and the front end follow. */
  readonly onChange: () => void;
}

/** Gateways besides the ingress gateway. */
export interface WantedGateways {
  readonly egress: boolean;
  /** For Gateway API Gateways. */
  readonly deployed: readonly GatewayFlavor[];
}

/** What pods belong to. */
export interface Workloads {
  deployments(): readonly Deployment[];
  statefulSets(): readonly StatefulSet[];
}

/** All pods of the mesh, driven towards what the configuration asks for. */
export class PodSet {
  readonly #options: PodSetOptions;
  readonly #byOwner = new Map<string, Set<Pod>>();
  readonly #leaving = new WeakMap<Pod, Promise<void>>();
  #closed = false;

  constructor(options: PodSetOptions) {
    this.#options = options;
  }

  pods(): readonly Pod[] {
    return [...this.#byOwner.values()].flatMap((pods) => [...pods]);
  }
  views(): readonly PodView[] {
    return this.pods().map((pod) => pod.view());
  }
  /** `namespace/name` of those whose proxies carry traffic. */
  serving(): readonly string[] {
    return this.pods().flatMap(({ proxyServes, id }) => (proxyServes ? [id] : []));
  }
  /** By pod name or workload, each also with `.namespace`, or as `deployment/workload`; a ready one is preferred. */
  find(name: string, namespace?: string): Pod | undefined {
    const wanted = name.slice(name.indexOf("/") + 1);
    const matching = this.pods().filter(
      ({ blueprint: { namespace: own, name: pod, workload } }) =>
        (namespace === undefined || own === namespace) &&
        [pod, workload, `${pod}.${own}`, `${workload}.${own}`].includes(wanted),
    );
    return matching.find((pod) => pod.ready) ?? matching[0];
  }

  /** Takes one step of every rollout; called after every change of configuration or of a pod. */
  reconcile(workloads: Workloads, gateways: WantedGateways): void {
    if (this.#closed) return;
    this.#keepGateway(ingressGateway, true);
    this.#keepGateway(egressGateway, gateways.egress);
    const deployed = new Set(gateways.deployed.map(gatewayOwner));
    for (const flavor of gateways.deployed) this.#keepGateway(flavor, true, gatewayOwner(flavor));
    for (const [owner, pods] of this.#byOwner) {
      if (owner.startsWith("gateway:") && !deployed.has(owner)) for (const pod of pods) void this.remove(pod);
    }
    const deployments = new Map(workloads.deployments().map((deployment) => [deploymentId(deployment), deployment]));
    const sets = new Map(workloads.statefulSets().map((set) => [statefulSetId(set), set]));
    for (const [owner, pods] of this.#byOwner) {
      if (owner.includes("/") && !deployments.has(owner) && !sets.has(owner))
        for (const pod of pods) void this.remove(pod);
    }
    for (const [owner, deployment] of deployments) this.#roll(owner, deployment);
    for (const [owner, set] of sets) this.#rollMembers(owner, set);
    for (const pod of this.pods()) pod.start();
  }

  /** Starts the ingress gateway, which needs no configuration to be started. */
  reconcileGateways(): void {
    if (this.#closed) return;
    this.#keepGateway(ingressGateway, true);
    for (const pod of this.pods()) pod.start();
  }

  /** Adds a process that somebody else runs. */
  join(blueprint: PodBlueprint, joined: JoinedApp): Pod {
    const pod = this.#add(`run:${blueprint.name}`, blueprint, joined);
    pod.start();
    return pod;
  }

  /** Out of the endpoints, then application, then sidecar; asking again hastens nothing. */
  remove(pod: Pod): Promise<void> {
    const leaving = this.#leaving.get(pod) ?? this.#remove(pod);
    this.#leaving.set(pod, leaving);
    return leaving;
  }

  async #remove(pod: Pod): Promise<void> {
    pod.markTerminating();
    await this.#options.deregistered();
    await pod.stop({ appGraceMs: graceOf(pod) });
    this.#forget(pod);
  }

  /** Ends everything at once, gateways included. Nothing is started any more. */
  async close(graceMs: number): Promise<void> {
    this.#closed = true;
    await Promise.all(
      this.pods().map((pod) => pod.stop({ appGraceMs: Math.min(graceOf(pod), graceMs), proxyGraceMs: graceMs })),
    );
  }

  #keepGateway(flavor: GatewayFlavor, wanted: boolean, owner = flavor.name): void {
    const alive = [...(this.#byOwner.get(owner) ?? [])].filter((pod) => !pod.terminating);
    // A pod keeps its labels for life: one with others is replaced.
    const labels = JSON.stringify(flavor.labels);
    const pods = alive.filter((pod) => JSON.stringify(pod.blueprint.labels) === labels);
    for (const pod of alive) if (!pods.includes(pod)) void this.remove(pod);
    if (wanted && pods.length === 0) this.#add(owner, gatewayBlueprint(flavor, randomSuffix(this.#options.random)));
    if (!wanted) for (const pod of pods) void this.remove(pod);
  }

  #roll(owner: string, deployment: Deployment): void {
    const { deps, random } = this.#options;
    const pods = [...(this.#byOwner.get(owner) ?? [])];
    const step = planRollout(
      rolloutGoal(deployment),
      pods.map((pod) => ({ ...pod.view(), terminating: pod.terminating })),
    );
    const services = deps.world.services(deployment.metadata.namespace);
    for (let i = 0; i < step.create; i++) this.#create(owner, podBlueprint(deployment, services, random));
    this.#removeNamed(pods, step.remove);
  }

  #rollMembers(owner: string, set: StatefulSet): void {
    const pods = [...(this.#byOwner.get(owner) ?? [])];
    const step = planStatefulSet(
      statefulSetGoal(set),
      pods.flatMap((pod) => {
        const ordinal = ordinalOf(set, pod.blueprint.name);
        return ordinal === undefined ? [] : { ...pod.view(), ordinal, terminating: pod.terminating };
      }),
    );
    const services = this.#options.deps.world.services(set.metadata.namespace);
    for (const ordinal of step.create) this.#create(owner, memberBlueprint(set, ordinal, services));
    this.#removeNamed(pods, step.remove);
  }

  #create(owner: string, blueprint: PodBlueprint): void {
    this.#add(owner, blueprint);
    this.#options.logger.info({ event: "pod.created", pod: blueprint.name, namespace: blueprint.namespace });
  }

  #removeNamed(pods: readonly Pod[], names: readonly string[]): void {
    for (const name of names) {
      const pod = pods.find((candidate) => candidate.blueprint.name === name);
      if (pod !== undefined) void this.remove(pod);
    }
  }

  #add(owner: string, blueprint: PodBlueprint, joined?: JoinedApp): Pod {
    const pod = new Pod(blueprint, this.#options.deps, randomUUID(), joined);
    const pods = this.#byOwner.get(owner) ?? new Set();
    pods.add(pod);
    this.#byOwner.set(owner, pods);
    this.#options.onChange();
    return pod;
  }

  #forget(pod: Pod): void {
    for (const [owner, pods] of this.#byOwner) {
      if (pods.delete(pod) && pods.size === 0) this.#byOwner.delete(owner);
    }
    this.#options.onChange();
  }
}

/** A pod's terminationGracePeriodSeconds, by default Kubernetes' 30 s. */
function graceOf(pod: Pod): number {
  return (pod.blueprint.spec.terminationGracePeriodSeconds ?? 30) * 1000;
}
