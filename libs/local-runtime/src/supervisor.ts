import { dirname, resolve } from "node:path";
import { type CancelTimer, messageOf, Scope } from "@lateen/kernel";
import type { AcceptedObject, StateDelta } from "@lateen/ports";
import { serveAdmin } from "./admin/server.ts";
import { builtinDocuments } from "./builtin.ts";
import { type RootNamespaceFacts, scanRootNamespace } from "./config-files.ts";
import type { ControlPlane } from "./control/control-plane.ts";
import { createControlPlane } from "./control/create-control-plane.ts";
import { CANONICAL_PORTS, type ControlPlanePorts, movedPorts } from "./control/ports.ts";
import { meshAlreadyRunning } from "./errors.ts";
import type { RejectedView } from "./events.ts";
import { replaceFile } from "./files.ts";
import { deployedGateways, ingressPorts } from "./gateway-api.ts";
import { egressGateway, type GatewayFlavor, ingressBindings, selects } from "./gateways.ts";
import { loadMeshIdentity, type MeshIdentity, TOKEN_TTL_SECONDS } from "./identity.ts";
import { choosePodNetwork } from "./net/choose-pod-network.ts";
import { chooseIngressPort } from "./net/ingress-port.ts";
import { type ClaimedBlock, claimAddressBlock, PrivatePorts, probePort } from "./net/loopback.ts";
import type { PodNetwork } from "./net/pod-network.ts";
import { objectFiles } from "./object-files.ts";
import type { SupervisorOptions } from "./options.ts";
import type { PodDependencies, PodLine } from "./pod/dependencies.ts";
import { inheritedEnvironment, ownEnvironment } from "./pod/environment.ts";
import { type ImageRule, imageRules } from "./pod/image-match.ts";
import { PodRegistryFile } from "./pod/registry.ts";
import { PodSet } from "./pod-set.ts";
import { ProcessLedger, reapLeftovers } from "./process/ledger.ts";
import { LogBook } from "./process/log-book.ts";
import { findSetpriv } from "./process/setpriv.ts";
import { StartGate } from "./process/start-gate.ts";
import { lockState, type SupervisorLock } from "./process/supervisor-lock.ts";
import { Propagation } from "./propagation.ts";
import { parseRejected } from "./rejected.ts";
import { createStateDir, type StateDir } from "./state-dir.ts";
import { type StatusReport, statusReport } from "./status.ts";
import { parseSynced, parseWarnings } from "./syncz.ts";
import { World } from "./world.ts";

const CLUSTER_ID = "local";
const DOMAIN = "cluster.local";
/** How often galley is asked for what it rejected; a rejection alone changes nothing that would be announced. */
const REJECTED_POLL_MS = 700;
/** A mesh is up when its proxies know all its pods; one that refuses something may never, and must not hold up the news. */
const SETTLE_MS = 3000;

/** A running mesh. */
export interface Supervisor {
  readonly state: StateDir;
  readonly ingressPort: number;
  readonly pods: PodSet;
  readonly controlPlane: ControlPlane;
  readonly world: World;
  readonly logs: LogBook;
  /** Whether the kernel carries the pods' traffic to their proxies. */
  readonly captures: boolean;
  status(): Promise<StatusReport>;
  /** Ends everything in order; safe to call twice. */
  stop(): Promise<void>;
  /** Resolves when everything has ended, whoever asked for it. */
  readonly stopped: Promise<void>;
}

/**
 * Starts a mesh on this machine and keeps it running. Resolves once the control plane and gateway are started and the admin socket
 * answers; the event `ready` tells when all pods serve.
 * @throws LTN7001 when this mesh runs already, LTN7002 without pod addresses, LTN7004 when the ingress port is busy.
 */
export async function createSupervisor(options: SupervisorOptions): Promise<Supervisor> {
  const state = await createStateDir(options.stateRoot);
  const lock = lockState(state.lockFile);
  if (lock === undefined) throw meshAlreadyRunning(options.mesh, state.root);
  try {
    return await startLocked(options, state, lock);
  } catch (error) {
    lock.release();
    throw error;
  }
}

async function startLocked(options: SupervisorOptions, state: StateDir, lock: SupervisorLock): Promise<Supervisor> {
  const reaped = reapLeftovers(state.processesFile);
  if (reaped.length > 0) {
    options.observe({ type: "notice", level: "warn", message: `ended ${reaped.length} processes of an earlier run` });
  }
  const loopback = (await probePort("::1", 0)) === "absent" ? ["127.0.0.1"] : ["127.0.0.1", "::1"];
  const [ingressPort, facts, block] = await Promise.all([
    chooseIngressPort(options, loopback),
    scanRootNamespace(options.configPaths),
    claimAddressBlock(state.root),
  ]);
  const identity = await loadMeshIdentity(state, facts.trustDomain, options.clock);
  const ledger = new ProcessLedger(state.processesFile);
  const setpriv = findSetpriv(options.env.PATH ?? "", process.platform);
  const network = await choosePodNetwork(options, { state, block, ledger, setpriv, domain: DOMAIN });
  const prepared = { state, lock, ingressPort, loopback, facts, block, identity, ledger, setpriv, network };
  const mesh = new LocalMesh(options, prepared);
  await mesh.start();
  return mesh;
}

interface Prepared {
  readonly state: StateDir;
  readonly lock: SupervisorLock;
  readonly ingressPort: number;
  readonly loopback: readonly string[];
  readonly facts: RootNamespaceFacts;
  readonly block: ClaimedBlock;
  readonly identity: MeshIdentity;
  readonly ledger: ProcessLedger;
  readonly setpriv: string | undefined;
  readonly network: PodNetwork;
}

class LocalMesh implements Supervisor {
  readonly state: StateDir;
  readonly ingressPort: number;
  readonly world = new World();
  readonly controlPlane: ControlPlane;
  readonly pods: PodSet;
  readonly logs: LogBook;
  readonly captures: boolean;
  readonly stopped: Promise<void>;
  readonly #options: SupervisorOptions;
  readonly #prepared: Prepared;
  readonly #registry: PodRegistryFile;
  readonly #propagation: Propagation;
  readonly #scope = new Scope();
  #settleStopped: () => void = () => {};
  #stopping: Promise<void> | undefined;
  #facts: RootNamespaceFacts;
  #builtin = "";
  #rules: readonly ImageRule[] = [];
  #rulesLoaded = false;
  #rejected: readonly RejectedView[] = [];
  #knownRejections = new Set<string>();
  #watchScope: Scope | undefined;
  #watched = "";
  #knownAddresses = "";
  #movedPorts = "";
  #pending: CancelTimer | undefined;
  #progress = "";
  #announced = false;

  constructor(options: SupervisorOptions, prepared: Prepared) {
    this.#options = options;
    this.#prepared = prepared;
    this.#facts = prepared.facts;
    this.state = prepared.state;
    this.ingressPort = prepared.ingressPort;
    this.captures = prepared.network.captures;
    this.#registry = new PodRegistryFile(this.state.podsFile, options.clock.now());
    this.#propagation = new Propagation(this, options.clock, this.#scope.signal);
    this.logs = new LogBook(this.state.logs);
    this.stopped = new Promise((settle) => {
      this.#settleStopped = settle;
    });
    const { ledger, network } = prepared;
    const inherited = inheritedEnvironment(options.env);
    // Commands say `node`: they get the one that runs us, which is known to be recent enough.
    inherited.set("PATH", `${dirname(process.execPath)}:${inherited.get("PATH") ?? "/usr/bin:/bin"}`);
    this.controlPlane = createControlPlane(options, {
      state: this.state,
      configPaths: [this.state.builtinFile, ...options.configPaths],
      clusterId: CLUSTER_ID,
      host: network.host,
      trustDomain: prepared.facts.trustDomain,
      identity: prepared.identity,
      inherited: ownEnvironment(inherited, options.env),
      clock: options.clock,
      ledger,
      setpriv: prepared.setpriv,
      logger: options.logger,
      onLine: (component, stream, line) => {
        this.logs.write(component, line);
        options.observe({ type: "control-plane-line", stream, line });
      },
      onReady: (ports) => this.#controlPlaneReady(ports),
      onDown: () => this.#changed(),
    });
    this.pods = new PodSet({
      deps: this.#podDependencies(ledger, inherited),
      random: options.random,
      logger: options.logger,
      deregistered: () => this.#propagation.deregistered(this.#registry, this.pods.views(), options),
      onChange: () => this.#changed(),
    });
  }

  async start(): Promise<void> {
    const { clock } = this.#options;
    try {
      await Promise.all([this.#writeBuiltin(), this.#registry.write([]), this.#writeMeshFile()]);
      this.controlPlane.start();
      await serveAdmin(this, { scope: this.#scope, logger: this.#options.logger, path: this.state.adminSocket });
      this.#scope.defer(clock.every(REJECTED_POLL_MS, () => void this.#pollRejected()));
      this.#scope.defer(clock.every((TOKEN_TTL_SECONDS * 1000) / 2, () => void this.#refreshTokens()));
      this.#changed();
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  async status(): Promise<StatusReport> {
    const [syncz, rejected] = await Promise.all([
      this.controlPlane.read("/debug/syncz"),
      this.controlPlane.read("/config/rejected"),
    ]);
    if (rejected !== undefined) this.#rejected = parseRejected(rejected);
    const synced = parseSynced(syncz);
    return statusReport({
      mesh: this.#options.mesh,
      version: this.#options.version,
      revision: this.world.revision,
      configLoaded: this.world.loaded && this.#rulesLoaded,
      controlPlane: { ready: this.controlPlane.ready, ports: { ...this.controlPlane.ports } },
      pods: this.pods.views(),
      gateways: this.world.gateways(),
      deployed: this.#deployedGateways,
      ingressPorts: ingressPorts(this.world.kubernetesGateways(), this.world.ingresses()),
      ingressPort: this.ingressPort,
      rejected: this.#rejected,
      warnings: parseWarnings(syncz),
      synced: (pod) => synced.has(`${pod.namespace}/${pod.name}`),
    });
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    const graceMs = this.#options.stopGraceMs ?? 3_000;
    this.#pending?.();
    try {
      await this.#watchScope?.close();
      await this.pods.close(graceMs);
      await this.controlPlane.stop(graceMs);
      await this.#scope.close();
      await this.#registry.write([]);
      await this.#prepared.network.close();
      await this.#prepared.block.release();
      await this.logs.close();
      reapLeftovers(this.state.processesFile);
    } finally {
      this.#prepared.lock.release();
      this.#settleStopped();
    }
  }

  #podDependencies(ledger: ProcessLedger, inherited: ReadonlyMap<string, string>): PodDependencies {
    const { clock, sidecar, agent, mesh, env, parallelStarts } = this.#options;
    const { block, identity, facts, loopback, network, setpriv } = this.#prepared;
    return {
      clock,
      state: this.state,
      world: this.world,
      network,
      serviceAddresses: block.block.services,
      privatePorts: new PrivatePorts(this.state.root),
      ledger,
      setpriv,
      startGate: new StartGate(parallelStarts ?? 4),
      inherited,
      ownEnvironment: ownEnvironment(inherited, env),
      sidecar,
      agent,
      clusterId: CLUSTER_ID,
      meshId: mesh,
      trustDomain: facts.trustDomain,
      domain: DOMAIN,
      rootPem: identity.rootPem,
      rules: () => this.#rules,
      controlPlane: () => this.controlPlane.addresses,
      gatewayBindings: (address) => ingressBindings(this.ingressPort, loopback, address),
      mintToken: (pod) => identity.mint(pod),
      onChange: () => this.#changed(),
      onLine: (line) => this.#line(line),
    };
  }

  #controlPlaneReady(ports: ControlPlanePorts): void {
    void this.#writeMeshFile();
    void this.#writeBuiltin();
    this.#tellMovedPorts(ports);
    const { addresses } = this.controlPlane;
    if (addresses !== undefined) {
      this.#watch(addresses.config, addresses.configName);
      // A control plane that came back on other ports has to be told to the proxies, which know only the old ones.
      const known = `${addresses.discovery}/${addresses.ca}/${addresses.telemetry}`;
      if (this.#knownAddresses !== "" && this.#knownAddresses !== known)
        for (const pod of this.pods.pods()) pod.restartProxy();
      this.#knownAddresses = known;
    }
    this.#changed();
  }

  /** A canonical port that another program has is replaced by a free one; people look for it at the usual place. */
  #tellMovedPorts(ports: ControlPlanePorts): void {
    const moved = movedPorts(ports);
    if (moved === "" || moved === this.#movedPorts) return;
    this.#movedPorts = moved;
    const message = `ports of the control plane are in use by other programs; it took others: ${moved}`;
    this.#options.observe({ type: "notice", level: "warn", message });
  }

  #watch(address: string, serverName: string): void {
    if (this.#watched === address || this.#stopping !== undefined) return;
    void this.#watchScope?.close();
    this.#watched = address;
    this.#watchScope = new Scope();
    const { identity } = this.#prepared;
    const who = { namespace: "istio-system", serviceAccount: "lateen-supervisor", name: "lateen-supervisor" };
    this.#options.watchConfig(
      this.#watchScope,
      {
        address,
        serverName,
        identity: () => ({ rootPem: identity.rootPem, token: identity.mint(who) }),
      },
      (delta) => this.#receive(delta),
      (state) => {
        if (!state.connected) this.#options.logger.debug({ event: "config.disconnected", reason: state.reason });
      },
    );
  }

  #receive(delta: StateDelta<AcceptedObject>): void {
    const first = !this.world.loaded;
    const { changed, removed } = this.world.apply(delta);
    if (!first && changed.length + removed.length > 0) {
      this.#options.observe({
        type: "config",
        revision: delta.revision,
        changed: changed.map((object) => `${object.kind}/${object.metadata.name}.${object.metadata.namespace}`),
        removed,
      });
    }
    const runtimes =
      changed.some((o) => o.kind === "LocalRuntime") || removed.some((key) => key.startsWith("LocalRuntime/"));
    if (first || runtimes) void this.#loadRules();
    const kinds = [...changed.map((o) => o.kind as string), ...removed.map((key) => key.split("/", 1)[0] ?? "")];
    if (kinds.some((kind) => kind === "Gateway" || kind === "KubernetesGateway" || kind === "GatewayClass")) {
      void this.#writeBuiltin();
    }
    if (!first && [...changed.map((o) => o.kind as string), ...removed].some((kind) => kind.startsWith("ConfigMap"))) {
      void this.#rescan();
    }
    void this.#pollRejected();
    this.#changed();
  }

  /** Reads where the LocalRuntime documents came from: their commands are relative to those files. */
  async #loadRules(): Promise<void> {
    const bases = new Map<string, string>();
    const answer = await this.controlPlane.read("/config/objects?kind=LocalRuntime");
    for (const { key, file } of objectFiles(answer)) bases.set(key, dirname(resolve(file)));
    this.#rules = imageRules(
      this.world.localRuntimes(),
      (runtime) => bases.get(`${runtime.metadata.namespace}/${runtime.metadata.name}`) ?? process.cwd(),
    );
    this.#rulesLoaded = true;
    this.#changed();
  }

  get #egressWanted(): boolean {
    return this.world.gateways().some((gateway) => selects(gateway, egressGateway));
  }

  get #deployedGateways(): readonly GatewayFlavor[] {
    return deployedGateways(this.world.kubernetesGateways(), this.world.gatewayClasses());
  }

  async #writeBuiltin(): Promise<void> {
    const { keys } = this.#facts;
    const accessLogPorts = this.controlPlane.addresses?.accessLogPorts ?? [CANONICAL_PORTS.als];
    const text = builtinDocuments({
      userKeys: keys,
      egress: this.#egressWanted,
      deployed: this.#deployedGateways,
      accessLogPorts,
    });
    if (text === this.#builtin) return;
    this.#builtin = text;
    await replaceFile(this.state.builtinFile, text);
  }

  /** The user's files may now define an object that was built in, or not any more. */
  async #rescan(): Promise<void> {
    try {
      this.#facts = await scanRootNamespace(this.#options.configPaths);
      await this.#writeBuiltin();
    } catch (error) {
      this.#options.logger.warn({ event: "config.scan_failed", error: messageOf(error) });
    }
  }

  async #writeMeshFile(): Promise<void> {
    const { block } = this.#prepared;
    const content = {
      mesh: this.#options.mesh,
      pid: process.pid,
      ingressPort: this.ingressPort,
      addressBlock: block.block.marker,
      controlPlane: this.controlPlane.ports ?? null,
    };
    await replaceFile(this.state.meshFile, `${JSON.stringify(content, null, 2)}\n`);
  }

  async #pollRejected(): Promise<void> {
    if (!this.controlPlane.ready || this.#stopping !== undefined) return;
    const answer = await this.controlPlane.read("/config/rejected");
    if (answer === undefined) return;
    this.#rejected = parseRejected(answer);
    const keys = new Set<string>();
    let conflict = false;
    for (const rejected of this.#rejected) {
      const key = JSON.stringify(rejected);
      keys.add(key);
      if (this.#knownRejections.has(key)) continue;
      this.#options.observe({ type: "rejected", rejected });
      conflict ||= rejected.namespace === "istio-system";
    }
    this.#knownRejections = keys;
    if (conflict) await this.#rescan();
  }

  async #refreshTokens(): Promise<void> {
    try {
      await this.controlPlane.refreshTokens();
    } catch (error) {
      this.#options.logger.warn({ event: "token.refresh_failed", pod: "control plane", error: messageOf(error) });
    }
    for (const pod of this.pods.pods()) {
      try {
        await pod.refreshToken();
      } catch (error) {
        this.#options.logger.warn({ event: "token.refresh_failed", pod: pod.blueprint.name, error: messageOf(error) });
      }
    }
  }

  /** Something changed; everything that follows from it happens once per turn of the event loop. */
  #changed(): void {
    if (this.#pending !== undefined || this.#stopping !== undefined) return;
    this.#pending = this.#options.clock.after(0, () => {
      this.#pending = undefined;
      this.#settle();
    });
  }

  #settle(): void {
    if (this.world.loaded && this.#rulesLoaded) {
      this.pods.reconcile(this.world, {
        egress: this.#egressWanted,
        deployed: this.#deployedGateways,
      });
    } else {
      this.pods.reconcileGateways();
    }
    const views = this.pods.views();
    this.#registry.write(views).catch((error) => {
      this.#options.logger.error({ event: "registry.write_failed", error: messageOf(error) });
    });
    this.#tellProgress();
  }

  #tellProgress(): void {
    const views = this.pods.views().filter((pod) => pod.phase !== "Terminating");
    const waiting = views.filter((pod) => !pod.ready).map(({ workload, reason }) => ({ name: workload, reason }));
    if (!this.world.loaded) waiting.unshift({ name: "control-plane", reason: "starting" });
    const progress = JSON.stringify(waiting);
    if (progress === this.#progress) return;
    this.#progress = progress;
    this.#options.observe({
      type: "progress",
      ready: views.filter((pod) => pod.ready).length,
      total: views.length,
      waiting,
    });
    if (waiting.length > 0 || this.#announced || !this.#rulesLoaded) return;
    this.#announced = true;
    void this.#announceSettled();
  }

  /** Pods that are ready are reachable once every proxy knows them: that is when the mesh is up. */
  async #announceSettled(): Promise<void> {
    await this.#propagation.reached(this.#registry.version, SETTLE_MS);
    if (this.#stopping === undefined) this.#options.observe({ type: "ready" });
  }

  #line(line: PodLine): void {
    this.logs.write(line.source === "app" ? line.pod : `${line.pod}.istio-proxy`, line.line);
    this.#options.observe({ type: "line", line });
  }
}
