import type { Scope } from "@lateen/kernel";
import { createCsr, linkProjected, tokenIdentity, WorkloadCertificate, workloadOrToken } from "@lateen/pki";
import type { ChannelOptions } from "@lateen/ports";
import { RecordSender } from "./access-records.ts";
import { adsChannel } from "./bootstrap.ts";
import { processDecodeContext } from "./configuration.ts";
import type { Controller } from "./controller.ts";
import { Discovery } from "./discovery.ts";
import { missingRunDirectory } from "./errors.ts";
import { identitySecrets } from "./identity-secrets.ts";
import type { LastGood } from "./last-good.ts";
import { spiffeId } from "./node.ts";
import type { ControlPlaneClients } from "./options.ts";
import type { AgentParts } from "./parts.ts";
import { probeOnce } from "./probe-ways.ts";
import { startWorkloadProbe } from "./workload-probe.ts";

/** How long a control plane that does not answer is waited for before the configuration from before goes into force. */
const SILENCE_MS = 3000;
/** A server that has nothing new for the versions we told it sends nothing; differences come sooner than this. */
const NOTHING_NEW_MS = 300;

/** What the connection to the control plane works on. */
export interface ControlPlaneOptions {
  readonly parts: AgentParts;
  readonly controller: Controller;
  readonly lastGood: LastGood | undefined;
  readonly scope: Scope;
}

/** Whether anything of a control plane was configured. */
export function usesControlPlane({ config, bootstrap }: AgentParts): boolean {
  const { discoveryAddress, caAddress, telemetryAddress } = config;
  return [discoveryAddress, caAddress, telemetryAddress, bootstrap?.content.adsCluster].some(
    (one) => one !== undefined,
  );
}

/**
 * Gets the workload's certificate, sends access logs, and follows the control plane's configuration.
 * @returns whether configuration comes from there; else only the static one is there.
 */
export async function joinControlPlane(options: ControlPlaneOptions, clients: ControlPlaneClients): Promise<boolean> {
  const { parts, controller, lastGood } = options;
  const { runDir, projected } = parts.config;
  if (runDir !== undefined) await linkProjected(runDir, projected);
  const certificate = workloadCertificate(options, clients);
  parts.status.certificate = certificate;
  await certificate?.start();
  const channels = channelsOf(parts, () => certificate?.current);
  if (channels.telemetry !== undefined) await sendAccessLogs(options, clients, channels.telemetry);
  if (channels.discovery === undefined) return false;
  const kept = await lastGood?.load();
  if (kept !== undefined) controller.stage(kept);
  followConfiguration(options, clients, channels.discovery, kept !== undefined);
  return true;
}

/** The workload's identity, when there is somebody to get it from. */
function workloadCertificate(
  { parts: { config, deps }, controller, scope }: ControlPlaneOptions,
  clients: ControlPlaneClients,
): WorkloadCertificate | undefined {
  const { runDir, caAddress, serverName, caServerName = serverName } = config;
  if (caAddress === undefined) return undefined;
  if (runDir === undefined) throw missingRunDirectory("--ca-address");
  const channel: ChannelOptions = {
    address: caAddress,
    serverName: caServerName,
    identity: () => tokenIdentity(runDir),
  };
  return new WorkloadCertificate({
    runDir,
    spiffeId: spiffeId(config.facts),
    ttlSeconds: config.certTtlMs / 1000,
    clock: deps.clock,
    random: deps.random,
    scope,
    logger: deps.logger,
    createCsr: async (id) => createCsr({ spiffeId: id }),
    sign: (csrPem, ttlSeconds) => clients.signCsr(channel, csrPem, ttlSeconds),
    onIdentity: (identity) => void controller.secrets(identitySecrets(identity)),
  });
}

interface Channels {
  readonly discovery: ChannelOptions | undefined;
  readonly telemetry: ChannelOptions | undefined;
}

function channelsOf({ config, deps, bootstrap }: AgentParts, workload: () => WorkloadCertificate["current"]): Channels {
  const { runDir, serverName, telemetryServerName = serverName, discoveryAddress, telemetryAddress } = config;
  const to = (address: string | undefined, name: string, flag: string): ChannelOptions | undefined => {
    if (address === undefined) return undefined;
    if (runDir === undefined) throw missingRunDirectory(flag);
    return {
      address,
      serverName: name,
      identity: () => workloadOrToken(runDir, workload(), deps.clock.now()),
    };
  };
  const ofBootstrap = (): ChannelOptions | undefined =>
    bootstrap === undefined
      ? undefined
      : adsChannel(bootstrap, processDecodeContext(deps.httpFilters, deps.networkFilters));
  return {
    discovery: to(discoveryAddress, serverName, "--discovery-address") ?? ofBootstrap(),
    telemetry: to(telemetryAddress, telemetryServerName, "--telemetry-address"),
  };
}

async function sendAccessLogs(
  { parts: { deps, status, node }, scope }: ControlPlaneOptions,
  clients: ControlPlaneClients,
  channel: ChannelOptions,
): Promise<void> {
  const connection = clients.connectAls(scope, channel);
  // Its module holds a gRPC service beside the message, so it is loaded as late as gRPC itself.
  const { StreamAccessLogsMessage } = await import("@lateen/proto/envoy/service/accesslog/v3/als");
  status.records = new RecordSender({
    scope,
    clock: deps.clock,
    node,
    messages: StreamAccessLogsMessage,
    send: (message) => connection.send(message),
  });
}

/**
 * Follows the control plane. What was staged from before goes into force when the control plane cannot be reached or stays
 * silent; when it answers, its differences are laid over it.
 */
function followConfiguration(
  { parts: { config, deps, node, configuration, status, applicationAddress }, controller, scope }: ControlPlaneOptions,
  { connectAds }: ControlPlaneClients,
  channel: ChannelOptions,
  hasStaged: boolean,
): void {
  const { clock, logger } = deps;
  let staged = hasStaged;
  const applyStaged = (reason: string): void => {
    if (!staged) return;
    staged = false;
    logger.info({ event: "last_good.used", reason });
    void controller.applyStaged();
  };
  const discovery = new Discovery({
    ...{ node, channel, controller, configuration, scope, logger, connectAds },
    onConnection: (connected, reason) => {
      if (!staged) return;
      if (connected) scope.defer(clock.after(NOTHING_NEW_MS, () => applyStaged("the control plane has nothing new")));
      else applyStaged(reason ?? "the control plane is unreachable");
    },
    onUpdated: () => applyStaged("the control plane sent what differs"),
  });
  if (staged) scope.defer(clock.after(SILENCE_MS, () => applyStaged("the control plane does not answer")));
  status.discovery = discovery;
  if (config.workloadProbe !== undefined) {
    const { target } = config.workloadProbe;
    startWorkloadProbe({
      spec: config.workloadProbe,
      ...{ clock, scope, logger },
      ask: (signal) => probeOnce(target, applicationAddress, signal),
      report: (health) => discovery.reportHealth(health),
    });
  }
  controller.onWanted((names) => discovery.want(names));
}
