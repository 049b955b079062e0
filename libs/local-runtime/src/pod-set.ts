import { randomUUID } from "node:crypto";
import type { Logger, Random } from "@lateen/kernel";
import type { Deployment } from "@lateen/mesh-model";
import { deploymentId, podBlueprint, randomSuffix, rolloutGoal } from "./deployments.ts";
import { gatewayOwner } from "./gateway-api.ts";
import { egressGateway, type GatewayFlavor, gatewayBlueprint, ingressGateway } from "./gateways.ts";
import type { PodDependencies } from "./pod/dependencies.ts";
import { type JoinedApp, Pod } from "./pod/pod.ts";
import type { PodBlueprint, PodView } from "./pod/types.ts";
import { planRollout } from "./rollout.ts";

export interface PodSetOptions {
  readonly deps: PodDependencies;
  readonly random: Random;
  readonly logger: Logger;
  /** Between taking a pod out of the endpoints and ending its application: time for the proxies to hear of it. */
  readonly deregisterMs: number;
  /** What pods changed; the registry file and the front end follow. */
  readonly onChange: () => void;
}

/** Gateways besides the ingress gateway. */
export interface WantedGateways {
  readonly egress: boolean;
  /** For Gateway API Gateways. */
  readonly deployed: readonly GatewayFlavor[];
}

/** All pods of the mesh, driven towards what the configuration asks for. */
export class PodSet {
  readonly #options: PodSetOptions;
  readonly #byOwner = new Map<string, Set<Pod>>();
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
  reconcile(deployments: readonly Deployment[], gateways: WantedGateways): void {
    if (this.#closed) return;
    this.#keepGateway(ingressGateway, true);
    this.#keepGateway(egressGateway, gateways.egress);
    const deployed = new Set(gateways.deployed.map(gatewayOwner));
    for (const flavor of gateways.deployed) this.#keepGateway(flavor, true, gatewayOwner(flavor));
    for (const [owner, pods] of this.#byOwner) {
      if (owner.startsWith("gateway:") && !deployed.has(owner)) for (const pod of pods) void this.remove(pod);
    }
    const wanted = new Map(deployments.map((deployment) => [deploymentId(deployment), deployment]));
    for (const [owner, pods] of this.#byOwner) {
      if (owner.includes("/") && !wanted.has(owner)) for (const pod of pods) void this.remove(pod);
    }
    for (const [owner, deployment] of wanted) this.#roll(owner, deployment);
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

  /** Out of the endpoints, then application, then sidecar. */
  async remove(pod: Pod): Promise<void> {
    if (pod.terminating) return pod.stop({ appGraceMs: graceOf(pod) });
    pod.markTerminating();
    await new Promise<void>((resolve) => this.#options.deps.clock.after(this.#options.deregisterMs, resolve));
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
    const { deps, random, logger } = this.#options;
    const pods = [...(this.#byOwner.get(owner) ?? [])];
    const step = planRollout(
      rolloutGoal(deployment),
      pods.map((pod) => ({ ...pod.view(), terminating: pod.terminating })),
    );
    for (let i = 0; i < step.create; i++) {
      const services = deps.world.services(deployment.metadata.namespace);
      const pod = this.#add(owner, podBlueprint(deployment, services, random));
      logger.info({ event: "pod.created", pod: pod.blueprint.name, namespace: pod.blueprint.namespace });
    }
    for (const name of step.remove) {
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
