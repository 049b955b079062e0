import { join } from "node:path";
import { Scope } from "@lateen/kernel";
import { createCsr } from "@lateen/pki";
import type { ChannelIdentity, ChannelOptions } from "@lateen/ports";
import { StreamAccessLogsMessage } from "@lateen/proto/envoy/service/accesslog/v3/als";
import { PlanState } from "../config/plan-state.ts";
import type { FromWorker } from "../worker/protocol.ts";
import { RecordSender } from "./access-records.ts";
import { adsChannel, type LoadedBootstrap, loadBootstrap, stageStatic } from "./bootstrap.ts";
import { loadCapture } from "./capture.ts";
import { Configuration, processDecodeContext } from "./configuration.ts";
import { tokenIdentity, workloadOrToken } from "./control-plane-identity.ts";
import { Controller, type WantedNames } from "./controller.ts";
import { Discovery } from "./discovery.ts";
import { missingRunDirectory } from "./errors.ts";
import { type AgentPorts, openFaces } from "./faces.ts";
import { LastGood } from "./last-good.ts";
import { LogFiles } from "./log-files.ts";
import { selfFacts, spiffeId, xdsNode } from "./node.ts";
import type { AgentConfig, AgentDependencies } from "./options.ts";
import type { AgentParts } from "./parts.ts";
import { StatsReader } from "./stats-reader.ts";
import { AgentStatus } from "./status.ts";
import { WorkerPool } from "./worker-pool.ts";
import { identitySecrets, WorkloadCertificate } from "./workload-certificate.ts";

/** A running proxy: agent thread and workers. */
export interface Agent {
  readonly ports: AgentPorts;
  /** Undefined when traffic may come, else what it waits for. */
  notReady(): string | undefined;
  /** Stops accepting and lets requests finish; resolves when they have, or after `drainTimeMs`. */
  drain(): Promise<void>;
}

/** How long a control plane that does not answer is waited for before the configuration from before goes into force. */
const SILENCE_MS = 3000;
/** A server that has nothing new for the versions we told it sends nothing; differences come sooner than this. */
const NOTHING_NEW_MS = 300;

/**
 * Runs a proxy until the scope closes, which drains it first. Resolves when workers run and the HTTP faces are open; traffic may
 * come when `/healthz/ready` says so.
 * @throws LTN5001 for unusable files, LTN5003 for an admin address that is not loopback, LTN5005 without a needed run directory.
 */
export async function runAgent(config: AgentConfig, deps: AgentDependencies, outer: Scope): Promise<Agent> {
  const { clock, logger } = deps;
  // What serves lives in a scope of its own, which closes only after the drain.
  const scope = new Scope();
  let agent: Agent | undefined;
  outer.defer(async () => {
    await agent?.drain();
    await scope.close();
  });
  const bootstrap = config.envoyConfigFile === undefined ? undefined : await loadBootstrap(config.envoyConfigFile);
  const capture = await loadCapture(config.captureFile);
  const state = new PlanState();
  const configuration = new Configuration({
    state,
    httpFilters: deps.httpFilters,
    networkFilters: deps.networkFilters,
    namespace: config.facts.namespace,
    now: () => clock.now(),
    logger,
  });
  if (bootstrap !== undefined) stageStatic(bootstrap, configuration);
  const node = bootstrap?.content.node ?? xdsNode(config, extensionNames(deps));
  const stats = new StatsReader();
  const logFiles = new LogFiles(logger);
  const status = new AgentStatus();
  const pool = new WorkerPool({
    entry: deps.workerEntry,
    count: config.concurrency,
    bootstrap: {
      self: selfFacts(config.facts),
      role: config.facts.role === "router" ? "gateway" : "sidecar",
      limits: { maxConnections: config.maxConnections },
      ...capture,
    },
    clock,
    logger,
    fullPlan: () => state.full(),
    onMessage: (message) => received(message, logFiles, status),
    onLost: (lost) => stats.retire(lost),
  });
  scope.defer(() => pool.stop());
  const lastGood =
    config.runDir === undefined ? undefined : new LastGood(join(config.runDir, "last-good"), clock, logger);
  let want: (names: WantedNames) => void = () => {};
  const controller = new Controller({
    state,
    configuration,
    pool,
    lastGood,
    clock,
    scope,
    logger,
    onWanted: (names) => want(names),
  });
  status.controller = controller;
  const certificate = startedBelow(config, deps, controller, scope);
  status.certificate = certificate;
  const parts: AgentParts = {
    ...{ config, deps, state, configuration, pool, stats, status, logFiles, bootstrap, certificate, node },
    startedAtMs: clock.now(),
  };
  const drain = drainOnce(parts, lastGood);
  const ports = await openFaces(scope, parts, drain);
  await pool.start();
  await certificate?.start();

  const channels = controlPlaneChannels(config, deps, bootstrap, () => certificate?.current);
  startAccessLogs(config, deps, status, channels.telemetry, node, scope);
  if (channels.discovery === undefined) {
    await controller.applyStaged();
    status.static = true;
  } else {
    const kept = await lastGood?.load();
    if (kept !== undefined) controller.stage(kept);
    want = startDiscovery(parts, controller, channels.discovery, kept !== undefined, scope);
    if (bootstrap !== undefined) await controller.applyStaged();
  }
  agent = { ports, notReady: () => status.notReady(), drain };
  return agent;
}

/** Names of Istio's own filters among ours; the control plane sends them only to proxies that list them. */
function extensionNames({ httpFilters }: AgentDependencies): readonly string[] {
  return httpFilters.map(({ name }) => name).filter((name) => name.startsWith("istio."));
}

function received(message: FromWorker, logFiles: LogFiles, status: AgentStatus): void {
  if (message.type === "log") logFiles.write(message.path, message.bytes);
  else if (message.type === "records") {
    if (status.records !== undefined) status.records.add(message.logName, message.records, message.dropped);
    else status.unsentRecords += message.records.length + message.dropped;
  }
}

/** The workload's identity, when there is somebody to get it from. */
function startedBelow(
  config: AgentConfig,
  deps: AgentDependencies,
  controller: Controller,
  scope: Scope,
): WorkloadCertificate | undefined {
  const { runDir, caAddress, serverName } = config;
  if (caAddress === undefined) return undefined;
  if (runDir === undefined) throw missingRunDirectory("--ca-address");
  const channel: ChannelOptions = { address: caAddress, serverName, identity: () => tokenIdentity(runDir) };
  return new WorkloadCertificate({
    runDir,
    spiffeId: spiffeId(config.facts),
    ttlSeconds: config.certTtlMs / 1000,
    clock: deps.clock,
    random: deps.random,
    scope,
    logger: deps.logger,
    createCsr: async (id) => createCsr({ spiffeId: id }),
    sign: (csrPem, ttlSeconds) => deps.signCsr(channel, csrPem, ttlSeconds),
    onIdentity: (identity) => void controller.secrets(identitySecrets(identity)),
  });
}

interface Channels {
  readonly discovery: ChannelOptions | undefined;
  readonly telemetry: ChannelOptions | undefined;
}

function controlPlaneChannels(
  config: AgentConfig,
  deps: AgentDependencies,
  bootstrap: LoadedBootstrap | undefined,
  workload: () => WorkloadCertificate["current"],
): Channels {
  const { runDir, serverName, discoveryAddress, telemetryAddress } = config;
  const to = (address: string | undefined, flag: string): ChannelOptions | undefined => {
    if (address === undefined) return undefined;
    if (runDir === undefined) throw missingRunDirectory(flag);
    const identity = (): ChannelIdentity => workloadOrToken(runDir, workload(), deps.clock.now());
    return { address, serverName, identity };
  };
  const context = processDecodeContext(deps.httpFilters, deps.networkFilters);
  return {
    discovery:
      to(discoveryAddress, "--discovery-address") ??
      (bootstrap === undefined ? undefined : adsChannel(bootstrap, context)),
    telemetry: to(telemetryAddress, "--telemetry-address"),
  };
}

function startAccessLogs(
  config: AgentConfig,
  deps: AgentDependencies,
  status: AgentStatus,
  channel: ChannelOptions | undefined,
  node: ReturnType<typeof xdsNode>,
  scope: Scope,
): void {
  if (channel === undefined) return;
  const connection = deps.connectAls(scope, channel);
  status.records = new RecordSender({
    scope,
    clock: deps.clock,
    node,
    messages: StreamAccessLogsMessage,
    send: (message) => connection.send(message),
  });
  deps.logger.debug({ event: "als.connecting", address: config.telemetryAddress });
}

/**
 * Follows the control plane. What was staged from before goes into force when the control plane cannot be reached or stays
 * silent; when it answers, its differences are laid over it.
 */
function startDiscovery(
  { deps, node, configuration, status }: AgentParts,
  controller: Controller,
  channel: ChannelOptions,
  hasStaged: boolean,
  scope: Scope,
): (names: WantedNames) => void {
  const { clock, logger } = deps;
  let staged = hasStaged;
  const applyStaged = (reason: string): void => {
    if (!staged) return;
    staged = false;
    logger.info({ event: "last_good.used", reason });
    void controller.applyStaged();
  };
  const discovery = new Discovery({
    ...{ node, channel, controller, configuration, scope, logger },
    connectAds: deps.connectAds,
    onConnection: (connected, reason) => {
      if (!staged) return;
      if (connected) scope.defer(clock.after(NOTHING_NEW_MS, () => applyStaged("the control plane has nothing new")));
      else applyStaged(reason ?? "the control plane is unreachable");
    },
    onUpdated: () => applyStaged("the control plane sent what differs"),
  });
  scope.defer(clock.after(SILENCE_MS, () => applyStaged("the control plane does not answer")));
  status.discovery = discovery;
  discovery.want(controller.wantedNames());
  return (names) => discovery.want(names);
}

/** Draining happens once, whoever asks: SIGTERM, /drain_listeners. */
function drainOnce({ pool, status, logFiles, config, deps }: AgentParts, lastGood: LastGood | undefined) {
  let draining: Promise<void> | undefined;
  const run = async (): Promise<void> => {
    status.draining = true;
    deps.logger.info({ event: "proxy.draining", timeoutMs: config.drainTimeMs });
    await pool.drain(config.drainTimeMs);
    status.records?.flush();
    await logFiles.flush();
    await lastGood?.flush();
  };
  return (): Promise<void> => {
    draining ??= run();
    return draining;
  };
}
