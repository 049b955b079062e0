import { rm } from "node:fs/promises";
import { availableParallelism, totalmem } from "node:os";
import { join } from "node:path";
import { messageOf } from "@lateen/kernel";
import { agentNotReady } from "../errors.ts";
import type { PodPlace } from "../net/pod-network.ts";
import { type AgentView, PodAgent } from "./agent.ts";
import { appProbes, PodContainer } from "./container.ts";
import type { PodDependencies } from "./dependencies.ts";
import { type PodFacts, proxyEnvironment } from "./environment.ts";
import { type ImageRule, matchImage } from "./image-match.ts";
import { askProxy, checkContainer, type ProbeResult } from "./probe.ts";
import { explicitProxyUrl, PodProxy, type ProxyInput } from "./proxy.ts";
import { ReadinessLoop } from "./readiness.ts";
import { linkServices, missingService, namedServices, type ServiceLinks, servicesByName } from "./service-links.ts";
import type { Container, PodBlueprint, PodPort, PodView } from "./types.ts";
import { makeVolumes } from "./volumes.ts";

/** Containers that injected YAML may already hold; the supervisor brings the sidecar itself. */
const INJECTED = new Set(["istio-proxy", "istio-init", "istio-validation", "lateen-proxy", "lateen-init"]);
/** Milliseconds an agent may take to end. */
const AGENT_GRACE_MS = 6_000;

/** After an attempt to start that failed, before the next. */
const RETRY_MS = 1_000;

/** Where the proxy asks a process that joined. */
const JOINED_PROBE = "/app-health/joined/readyz";

/** A process that somebody else runs and that has joined the mesh. */
export interface JoinedApp {
  readonly containerPort: number;
  readonly appPort: number;
}

/**
 * One pod on this machine.
 *
 * ## Pending (what it needs is not there) → proxy starts → proxy ready → init containers → containers start → Ready; → Terminating → gone
 * An application is started only once its sidecar serves. A sidecar that dies takes readiness away, not the application.
 */
export class Pod {
  readonly blueprint: PodBlueprint;
  readonly address: string;
  readonly #deps: PodDependencies;
  readonly #joined: JoinedApp | undefined;
  readonly #createdAt: number;
  readonly #runDirectory: string;
  readonly #uid: string;
  #pending: string;
  #starting = false;
  #terminating = false;
  #stopped: Promise<void> | undefined;
  #ports: readonly PodPort[] = [];
  #links: ServiceLinks | undefined;
  #place: PodPlace | undefined;
  #proxy: PodProxy | undefined;
  #agent: PodAgent | undefined;
  #init: PodContainer | undefined;
  #containers: readonly PodContainer[] = [];
  #joinedReady: ReadinessLoop | undefined;
  #proxyWaiters: (() => void)[] = [];

  constructor(blueprint: PodBlueprint, deps: PodDependencies, uid: string, joined?: JoinedApp) {
    this.blueprint = blueprint;
    this.#deps = deps;
    this.#joined = joined;
    this.#uid = uid;
    this.#createdAt = deps.clock.now();
    this.address = deps.network.addresses.take();
    this.#runDirectory = join(deps.state.pods, `${blueprint.namespace}.${blueprint.name}`);
    this.#pending = "waiting to start";
  }

  /** `namespace/name` */
  get id(): string {
    return `${this.blueprint.namespace}/${this.blueprint.name}`;
  }
  get ready(): boolean {
    if (this.#terminating || this.#proxy?.ready !== true) return false;
    if (this.blueprint.kind === "gateway") return true;
    if (this.#joined !== undefined) return this.#joinedReady?.ready === true;
    return this.#pending === "" && this.#containers.every((container) => container.ready);
  }
  get terminating(): boolean {
    return this.#terminating;
  }
  /** Its proxy carries traffic: it is up, and nobody has begun to end it. */
  get proxyServes(): boolean {
    return this.#proxy?.ready === true && this.#stopped === undefined;
  }
  get runDirectory(): string {
    return this.#runDirectory;
  }

  /** Starts it, or tries again what could not be started before because something was missing. */
  start(): void {
    for (const container of this.#containers) container.retry();
    this.#init?.retry();
    if (this.#starting || this.#terminating || this.#proxy !== undefined) return;
    const missing = this.#missing();
    if (missing !== "") {
      if (missing !== this.#pending) {
        this.#pending = missing;
        this.#deps.onChange();
      }
      return;
    }
    this.#starting = true;
    void this.#start().catch((error) => {
      this.#pending = messageOf(error);
      this.#deps.onChange();
      // Not at once: each attempt is itself a change, and reasons may differ each time without anything having changed.
      this.#deps.clock.after(RETRY_MS, () => {
        this.#starting = false;
        this.#deps.onChange();
      });
    });
  }

  /** Resolves when the sidecar serves for the first time, or the pod ends. */
  proxyReady(): Promise<void> {
    if (this.#proxy?.ready || this.#terminating) return Promise.resolve();
    return new Promise((resolve) => this.#proxyWaiters.push(resolve));
  }

  /** What a joined process has to know: environment and addresses. Only valid once the proxy is ready. */
  joinEnvironment(): Readonly<Record<string, string>> {
    const { captures } = this.#deps.network;
    const proxyUrl = explicitProxyUrl(this.address);
    return {
      HOST: "127.0.0.1",
      POD_NAME: this.blueprint.name,
      POD_NAMESPACE: this.blueprint.namespace,
      POD_IP: this.address,
      ...(captures ? {} : { HTTP_PROXY_URL: proxyUrl }),
      ...Object.fromEntries(this.#links?.environment ?? []),
      ...(captures ? {} : Object.fromEntries(proxyEnvironment(proxyUrl, this.#links?.addresses ?? []))),
    };
  }
  /** What goes before the command of a process that joins, so that it runs in its pod's network. */
  get joinPrefix(): readonly string[] {
    return this.#place?.appPrefix ?? [];
  }
  /** Unix socket of its proxy's admin interface, else its address. */
  get admin(): { readonly socketPath: string } | { readonly host: string } {
    const { adminSocket: socketPath, adminAddress: host = this.address } = this.#place ?? {};
    return socketPath === undefined ? { host } : { socketPath };
  }

  async refreshToken(): Promise<void> {
    await Promise.all([this.#proxy?.refreshToken(), this.#agent?.refreshToken()]);
  }
  restartProxy(): void {
    this.#proxy?.restart();
    this.#agent?.restart();
  }

  /**
   * The agent for a proxy that is not ours, or for gRPC without one; it is started the first time and lives as long as the pod.
   * @throws LTN7014 when it has no certificate in time, or the pod is not running.
   */
  async agent(): Promise<AgentView> {
    if (this.#proxy === undefined || this.#terminating) throw agentNotReady(this.blueprint.name, this.#reason());
    this.#agent ??= new PodAgent(this.#proxyInput(), this.#deps);
    return this.#agent.view();
  }

  #proxyInput(): Omit<ProxyInput, "place"> {
    const { blueprint, address } = this;
    return {
      blueprint,
      address,
      probes: this.#probes(),
      joined: this.#joined !== undefined,
      runDirectory: this.#runDirectory,
      ports: this.#ports,
      listeners: this.#links?.listeners ?? [],
    };
  }
  get proxyPid(): number | undefined {
    return this.#proxy?.pid;
  }

  /** Application first, sidecar after it, so that the application can still call out while it ends. Gives everything back. */
  stop(options: { readonly appGraceMs: number; readonly proxyGraceMs?: number }): Promise<void> {
    this.#stopped ??= this.#stop(options.appGraceMs, options.proxyGraceMs);
    return this.#stopped;
  }

  /** Takes it out of the endpoints, without stopping anything yet. */
  markTerminating(): void {
    if (this.#terminating) return;
    this.#terminating = true;
    this.#wakeWaiters();
    this.#deps.onChange();
  }

  view(): PodView {
    const { blueprint } = this;
    const restarts = this.#containers.reduce((sum, c) => sum + c.restarts, this.#proxy?.restarts ?? 0);
    const crashing = [this.#init, ...this.#containers].some((container) => container?.backingOff === true);
    const running = this.#pending === "";
    return {
      namespace: blueprint.namespace,
      name: blueprint.name,
      workload: blueprint.workload,
      kind: blueprint.kind,
      controller: blueprint.controller,
      serviceAccount: blueprint.serviceAccount,
      labels: blueprint.labels,
      annotations: blueprint.annotations,
      templateHash: blueprint.templateHash,
      address: this.address,
      ready: this.ready,
      phase: this.#terminating ? "Terminating" : crashing ? "CrashLoopBackOff" : running ? "Running" : "Pending",
      reason: this.#reason(),
      restarts,
      ports: this.#ports,
      containerPorts: this.#declaredPorts().map(({ container, name, port }) => ({ container, name, port })),
      images: blueprint.spec.containers.map(({ name, image }) => ({ container: name, image: image ?? "" })),
      createdAt: this.#createdAt,
      hostname: blueprint.spec.hostname,
      subdomain: blueprint.spec.subdomain,
    };
  }

  #reason(): string {
    if (this.ready) return "";
    if (this.#terminating) return "terminating";
    if (this.#proxy === undefined) return this.#pending;
    if (!this.#proxy.ready) return this.#proxy.reason;
    const late = this.#containers.find((container) => !container.ready);
    if (late !== undefined) return late.reason;
    if (this.#init !== undefined) return this.#init.reason;
    if (this.#joinedReady !== undefined) return this.#joinedReady.reason;
    return this.#pending;
  }

  /** What has to be there before anything is started; empty when all is. */
  #missing(): string {
    const { namespace, serviceAccount, kind } = this.blueprint;
    if (this.#deps.controlPlane() === undefined) return "waiting for the control plane";
    if (kind === "gateway") return "";
    if (!this.#deps.world.hasServiceAccount(namespace, serviceAccount)) {
      return `ServiceAccount ${namespace}/${serviceAccount} does not exist`;
    }
    if (this.#joined !== undefined) return "";
    for (const container of [...this.#initContainers(), ...this.#appContainers()]) {
      const rule = this.#ruleFor(container);
      if (rule === undefined) {
        return `no LocalRuntime document matches image "${container.image ?? ""}" of container ${container.name}`;
      }
      // Its sidecar listens for the services that are there when it starts.
      const service = missingService(ruleTexts(rule), namespace, this.#deps.world.services());
      if (service !== undefined) return `there is no service port ${service}, which ${rule.source} names`;
    }
    return "";
  }

  async #start(): Promise<void> {
    await this.#allocate();
    const volumes = await makeVolumes(this.blueprint.spec.volumes ?? [], this.blueprint.namespace, this.#deps.world, {
      pod: this.#runDirectory,
      persistent: this.#deps.state.volumes,
    });
    if (!volumes.ok) throw new Error(volumes.error.join("; "));
    this.#deps.onChange();
    const leave = await this.#deps.startGate.enter();
    try {
      if (this.#terminating) return;
      this.#place ??= await this.#deps.network.place(this.blueprint, this.address, this.#runDirectory);
      this.#proxy = new PodProxy({ ...this.#proxyInput(), place: this.#place }, this.#deps, () => this.#proxyChanged());
      await this.#proxy.start();
      await this.proxyReady();
    } finally {
      leave();
    }
    if (this.#terminating) return;
    if (this.#joined !== undefined) this.#watchJoined(this.#joined);
    else await this.#startContainers(volumes.value);
    this.#pending = "";
    this.#deps.onChange();
  }

  async #startContainers(volumes: ReadonlyMap<string, string>): Promise<void> {
    for (const container of this.#initContainers()) {
      this.#init = this.#makeContainer(container, volumes, "init");
      await this.#init.runToSuccess();
      this.#init = undefined;
      if (this.#terminating) return;
    }
    this.#containers = this.#appContainers().map((container) => this.#makeContainer(container, volumes, "service"));
    for (const container of this.#containers) container.start();
  }

  #makeContainer(container: Container, volumes: ReadonlyMap<string, string>, role: "service" | "init"): PodContainer {
    const rule = this.#ruleFor(container);
    if (rule === undefined || this.#links === undefined) throw new Error(`container ${container.name} has no rule`);
    const declared = new Set((container.ports ?? []).map((port) => port.containerPort));
    const own = this.#ports.filter((port) => declared.has(port.container));
    return new PodContainer(
      {
        container,
        rule,
        facts: this.#facts(),
        workload: this.blueprint.workload,
        ports: own.length > 0 || this.#containers.length > 0 ? own : this.#ports,
        links: this.#links,
        place: this.#place,
        volumes,
        role,
      },
      this.#deps,
      () => this.#deps.onChange(),
    );
  }

  /** What the proxy has to ask of the applications, where they cannot be asked from outside. */
  #probes(): Readonly<Record<string, unknown>> {
    if (!this.#deps.network.captures) return {};
    if (this.#joined !== undefined) {
      return { [JOINED_PROBE]: { tcpSocket: { host: "127.0.0.1", port: this.#joined.appPort } } };
    }
    return appProbes(this.#appContainers(), this.#ports);
  }

  #watchJoined(joined: JoinedApp): void {
    this.#joinedReady = new ReadinessLoop({
      clock: this.#deps.clock,
      timing: { periodMs: 1_000, timeoutMs: 1_000, successThreshold: 1, failureThreshold: 1 },
      check: (): Promise<ProbeResult> =>
        this.#deps.network.captures
          ? askProxy(this.address, JOINED_PROBE, 1_000)
          : checkContainer(undefined, {
              host: "127.0.0.1",
              portOf: () => joined.appPort,
              firstPort: joined.appPort,
              env: {},
              cwd: "/",
            }),
      onChange: () => this.#deps.onChange(),
    });
    this.#joinedReady.start();
  }

  async #allocate(): Promise<void> {
    if (this.#links !== undefined) return;
    const ports: PodPort[] = [];
    if (this.blueprint.kind !== "gateway") {
      for (const { name, port } of this.#declaredPorts()) {
        const fixed = this.#joined?.containerPort === port ? this.#joined.appPort : undefined;
        // In a namespace of its own an application has its ports to itself.
        const privatePort = fixed ?? (this.#deps.network.captures ? port : await this.#deps.privatePorts.take());
        ports.push({ container: port, name, privatePort });
      }
    }
    this.#ports = ports;
    const { namespace } = this.blueprint;
    const named = namedServices(this.#appContainers().flatMap((container) => ruleTexts(this.#ruleFor(container))));
    const services = this.blueprint.kind === "gateway" ? [] : this.#deps.world.services();
    const own = { namespace, domain: this.#deps.domain, named };
    this.#links = this.#deps.network.captures
      ? servicesByName(services, own)
      : linkServices(services, own, this.#deps.serviceAddresses);
  }

  #declaredPorts(): readonly { readonly container: string; readonly name: string; readonly port: number }[] {
    const declared = this.#appContainers().flatMap((container) =>
      (container.ports ?? [])
        .filter((port) => (port.protocol ?? "TCP") === "TCP")
        .map((port) => ({ container: container.name, name: port.name ?? "", port: port.containerPort })),
    );
    const known = new Set(declared.map(({ port }) => port));
    const first = this.#appContainers()[0]?.name ?? "";
    const extra = this.blueprint.extraPorts.filter((port) => !known.has(port));
    return [...declared, ...extra.map((port) => ({ container: first, name: "", port }))];
  }

  #appContainers(): readonly Container[] {
    return this.blueprint.spec.containers.filter((container) => !INJECTED.has(container.name));
  }
  #initContainers(): readonly Container[] {
    return (this.blueprint.spec.initContainers ?? []).filter((container) => !INJECTED.has(container.name));
  }
  #ruleFor(container: Container): ImageRule | undefined {
    return matchImage(this.#deps.rules(), container.image ?? "");
  }

  #facts(): PodFacts {
    const { name, namespace, serviceAccount, labels, annotations } = this.blueprint;
    const machine = { cpus: availableParallelism(), memoryBytes: totalmem() };
    return { name, namespace, uid: this.#uid, ip: this.address, serviceAccount, labels, annotations, machine };
  }

  #proxyChanged(): void {
    if (this.#proxy?.ready) this.#wakeWaiters();
    this.#deps.onChange();
  }

  #wakeWaiters(): void {
    const waiters = this.#proxyWaiters;
    this.#proxyWaiters = [];
    for (const wake of waiters) wake();
  }

  async #stop(appGraceMs: number, proxyGraceMs: number | undefined): Promise<void> {
    this.markTerminating();
    this.#joinedReady?.stop();
    await Promise.all([
      this.#init?.stop(appGraceMs),
      ...this.#containers.map((container) => container.stop(appGraceMs)),
    ]);
    await Promise.all([this.#proxy?.stop(proxyGraceMs), this.#agent?.stop(proxyGraceMs ?? AGENT_GRACE_MS)]);
    await this.#place?.close();
    this.#deps.network.addresses.release(this.address);
    for (const address of this.#links?.addresses ?? []) this.#deps.serviceAddresses.release(address);
    for (const port of this.#ports) this.#deps.privatePorts.release(port.privatePort);
    // Key, token and certificates of a pod that is gone are of no use to anybody.
    await rm(this.#runDirectory, { recursive: true, force: true });
  }
}

function ruleTexts(rule: ImageRule | undefined): readonly string[] {
  return rule === undefined ? [] : [...rule.command, ...Object.values(rule.env)];
}
