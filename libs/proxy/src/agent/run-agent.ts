import { join } from "node:path";
import { Scope } from "@lateen/kernel";
import { PlanState } from "../config/plan-state.ts";
import type { FromWorker } from "../worker/protocol.ts";
import { SpareHeap } from "../worker/spare-heap.ts";
import { loadBootstrap, stageStatic } from "./bootstrap.ts";
import { type CaptureSettings, loadCapture } from "./capture.ts";
import { Configuration } from "./configuration.ts";
import { joinControlPlane, usesControlPlane } from "./control-plane.ts";
import { Controller } from "./controller.ts";
import { openDns } from "./dns.ts";
import { type AgentPorts, openFaces } from "./faces.ts";
import { LastGood } from "./last-good.ts";
import { LogFiles } from "./log-files.ts";
import { listedExtensions, selfFacts, xdsNode } from "./node.ts";
import type { AgentConfig, AgentDependencies } from "./options.ts";
import type { AgentParts } from "./parts.ts";
import { StatsReader } from "./stats-reader.ts";
import { AgentStatus } from "./status.ts";
import { WorkerPool } from "./worker-pool.ts";

/** How often mounted certificates are looked at. */
const FILE_POLL_MS = 10_000;

/** A running proxy: agent thread and workers. */
export interface Agent {
  readonly ports: AgentPorts;
  /** Undefined when traffic may come, else what it waits for. */
  notReady(): string | undefined;
  /** Stops accepting and lets requests finish; resolves when they have, or after `drainTimeMs`. */
  drain(): Promise<void>;
}

/**
 * Runs a proxy until the scope closes, which drains it first. Resolves when workers run and the HTTP faces are open; traffic may
 * come when `/healthz/ready` says so.
 * @throws LTN5001 for unusable files, LTN5003 for an admin address that is not loopback, LTN5005 without a needed run directory.
 */
export async function runAgent(config: AgentConfig, deps: AgentDependencies, outer: Scope): Promise<Agent> {
  // What serves lives in a scope of its own, which closes only after the drain.
  const scope = new Scope();
  let drain: (() => Promise<void>) | undefined;
  outer.defer(async () => {
    await drain?.();
    await scope.close();
  });
  const parts = await assemble(config, deps);
  const { state, configuration, pool, status, bootstrap } = parts;
  const { clock, logger } = deps;
  scope.defer(() => pool.stop());
  const lastGood =
    config.runDir === undefined ? undefined : new LastGood(join(config.runDir, "last-good"), clock, logger);
  const controller = new Controller({ state, configuration, pool, lastGood, clock, scope, logger });
  status.controller = controller;
  scope.defer(clock.every(FILE_POLL_MS, () => void controller.rereadFiles()));
  const drainOnce = drainer(parts, lastGood);
  const ports = await openFaces(scope, parts, drainOnce);
  const dns = await openDns(scope, parts);
  await pool.start();
  drain = drainOnce;
  const isDynamic =
    usesControlPlane(parts) &&
    (await joinControlPlane({ parts, controller, lastGood, scope }, await deps.loadClients()));
  if (!isDynamic || bootstrap !== undefined) await controller.applyStaged();
  status.static = !isDynamic;
  return { ports: { ...ports, dns: dns?.port }, notReady: () => status.notReady(), drain };
}

/** The parts that need no connection, with the static configuration staged. */
async function assemble(config: AgentConfig, deps: AgentDependencies): Promise<AgentParts> {
  const { clock, logger, httpFilters, networkFilters } = deps;
  const { namespace, role } = config.facts;
  const bootstrap = config.envoyConfigFile === undefined ? undefined : await loadBootstrap(config.envoyConfigFile);
  const capture = await loadCapture(config.captureFile, config.facts.metadata.INTERCEPTION_MODE);
  const state = new PlanState();
  const now = () => clock.now();
  const configuration = new Configuration({ state, httpFilters, networkFilters, namespace, now, logger });
  if (bootstrap !== undefined) stageStatic(bootstrap, configuration);
  const stats = new StatsReader();
  const logFiles = new LogFiles(clock, logger);
  const status = new AgentStatus();
  const node = bootstrap?.content.node ?? xdsNode(config, listedExtensions(deps), capture.capture.mode === "kernel");
  // No request waits for this thread, however busy it is.
  const spare = deps.collectHeap === undefined ? undefined : new SpareHeap(clock, deps.collectHeap, () => 0);
  const pool = new WorkerPool({
    entry: deps.workerEntry,
    count: config.concurrency,
    bootstrap: {
      self: { ...selfFacts(config.facts), ...(node.cluster === "" ? {} : { nodeCluster: node.cluster }) },
      role: role === "router" ? "gateway" : "sidecar",
      limits: { maxConnections: config.maxConnections },
      ...(config.drainDurationMs === undefined ? {} : { drainMs: config.drainDurationMs }),
      ...(config.io === undefined ? {} : { io: config.io }),
      ...(config.recentRequests === undefined ? {} : { recentRequests: config.recentRequests }),
      ...capture,
    },
    clock,
    logger,
    fullPlan: () => state.full(),
    onMessage(message) {
      if (message.type === "applied") spare?.changed();
      received(message, status);
    },
    onLines: (path, bytes, done) => logFiles.write(path, bytes, done),
    onLost: (lost) => stats.retire(lost),
  });
  return {
    ...{ config, deps, state, configuration, pool, stats, status, logFiles, bootstrap, node },
    applicationAddress: (port) => applicationAddress(capture, config.facts.instanceIp, port),
    startedAtMs: clock.now(),
  };
}

/** The application itself, not the port of the proxy in front of it. */
function applicationAddress({ capture }: CaptureSettings, instanceIp: string, port: number) {
  const inbound = capture.mode === "none" ? [] : capture.inbound;
  const own = inbound.find(({ containerPort }) => containerPort === port);
  return own === undefined ? { host: instanceIp, port } : { host: own.appAddress, port: own.appPort };
}

function received(message: FromWorker, status: AgentStatus): void {
  if (message.type === "records") {
    if (status.records !== undefined) status.records.add(message.logName, message.records, message.dropped);
    else status.unsentRecords += message.records.length + message.dropped;
  }
}

/** Draining happens once, whoever asks: SIGTERM, /drain_listeners. */
function drainer(
  { pool, status, logFiles, config, deps }: AgentParts,
  lastGood: LastGood | undefined,
): () => Promise<void> {
  let draining: Promise<void> | undefined;
  const run = async (): Promise<void> => {
    status.draining = true;
    deps.logger.info({ event: "proxy.draining", timeoutMs: config.drainTimeMs });
    await pool.drain(config.drainTimeMs);
    status.records?.flush();
    await logFiles.flush();
    await lastGood?.flush();
  };
  return () => {
    draining ??= run();
    return draining;
  };
}
