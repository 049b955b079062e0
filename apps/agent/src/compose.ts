import { join } from "node:path";
import { adsRelay, secretService, serveLocal, signCsr } from "@lateen/adapter-grpc";
import {
  bootstrapSettings,
  type EnvoyBootstrapOptions,
  envoyBootstrap,
  fileSecret,
  grpcBootstrap,
  type StockNode,
} from "@lateen/envoy-agent";
import { systemClock } from "@lateen/kernel";
import { createCsr, linkProjected, tokenIdentity, WorkloadCertificate, workloadOrToken } from "@lateen/pki";
import type { ChannelOptions } from "@lateen/ports";
import {
  atomicWriteFile,
  badConfiguration,
  environmentMetadata,
  jsonOf,
  labelledLocality,
  type MainContext,
} from "@lateen/runtime";
import type { AgentSettings } from "./config.ts";

/** How often files that secrets are named after are looked at. */
const FILE_POLL_MS = 10_000;

/**
 * Runs the agent until the scope closes. Resolves when certificate, socket and bootstraps are there.
 * @param env `ISTIO_META_*` and `ISTIO_METAJSON_*` go into the node's metadata.
 * @throws LTN6003 for what is no JSON or cannot be used.
 */
export async function composeAgent(
  settings: AgentSettings,
  env: Readonly<Record<string, string | undefined>>,
  { scope, logger }: MainContext,
): Promise<void> {
  const { runDir, serverName, caServerName = serverName, discoveryAddress, caAddress = discoveryAddress } = settings;
  const clock = systemClock();
  const problems: string[] = [];
  const introduced = { node: nodeOf(settings, env, problems), ...proxyConfig(settings, problems) };
  // Before anything is started that would have to be stopped.
  if (problems.length > 0) throw badConfiguration(problems);
  await linkProjected(runDir, settings);
  const secrets = secretService(logger, fileSecret);
  const first = Promise.withResolvers<void>();
  const ca: ChannelOptions = { address: caAddress, serverName: caServerName, identity: () => tokenIdentity(runDir) };
  const certificate = new WorkloadCertificate({
    runDir,
    spiffeId: `spiffe://${settings.trustDomain}/ns/${settings.podNamespace}/sa/${settings.serviceAccount}`,
    ttlSeconds: settings.certTtl / 1000,
    clock,
    random: { next: () => Math.random() },
    scope,
    logger,
    createCsr: async (spiffeId) => createCsr({ spiffeId }),
    sign: (csrPem, ttlSeconds) => signCsr(ca, csrPem, ttlSeconds),
    onIdentity: (identity) => {
      secrets.update(identity);
      first.resolve();
    },
  });
  const socket = settings.socket ?? join(runDir, "agent.sock");
  const discovery: ChannelOptions = {
    address: discoveryAddress,
    serverName,
    identity: () => workloadOrToken(runDir, certificate.current, clock.now()),
  };
  const server = await serveLocal({ path: socket, services: [secrets, adsRelay(discovery, logger)], logger });
  scope.defer(() => server.close());
  scope.defer(clock.every(FILE_POLL_MS, () => void secrets.refresh()));
  await certificate.start();
  await first.promise;
  await certificate.stored();
  await writeBootstraps(settings, socket, introduced);
  logger.info({ event: "agent.ready", socket });
}

type Introduced = Pick<EnvoyBootstrapOptions, "node" | "statistics" | "runtimeValues">;

async function writeBootstraps(settings: AgentSettings, socket: string, introduced: Introduced): Promise<void> {
  const { runDir, adminAddress, statsPort, healthPort } = settings;
  const { node } = introduced;
  const envoy = envoyBootstrap({
    ...introduced,
    discovery: { kind: "agent", socket },
    secretsSocket: socket,
    protocol: settings.protocol === "sotw" ? "GRPC" : "DELTA_GRPC",
    ...(settings.bindAddress === undefined ? {} : { bindAddress: settings.bindAddress }),
    admin: { address: adminAddress, port: settings.adminPort },
    ...(statsPort === 0 ? {} : { faces: { address: adminAddress, statsPort, healthPort } }),
  });
  const grpc = grpcBootstrap({ node, socket, certificateDir: runDir });
  await atomicWriteFile(join(runDir, "envoy.json"), `${JSON.stringify(envoy, null, 2)}\n`);
  await atomicWriteFile(join(runDir, "grpc.json"), `${JSON.stringify(grpc, null, 2)}\n`);
}

function proxyConfig(settings: AgentSettings, problems: string[]) {
  const found: string[] = [];
  const read = bootstrapSettings(jsonOf("PROXY_CONFIG", settings.proxyConfig, problems), found);
  problems.push(...found.map((problem) => `PROXY_CONFIG: ${problem}`));
  return read;
}

function nodeOf(
  settings: AgentSettings,
  env: Readonly<Record<string, string | undefined>>,
  problems: string[],
): StockNode {
  const { podName, podNamespace, instanceIp, serviceAccount, clusterId, trustDomain } = settings;
  const labels = (jsonOf("--labels", settings.labels, problems) ?? {}) as StockNode["labels"];
  const locality = labelledLocality(labels);
  return {
    kind: settings.role === "router" ? "router" : "sidecar",
    pod: podName,
    namespace: podNamespace,
    address: instanceIp,
    serviceAccount,
    workload: settings.workloadName ?? podName,
    labels,
    ports: (jsonOf("--pod-ports", settings.podPorts, problems) ?? []) as StockNode["ports"],
    ...(locality === undefined ? {} : { locality }),
    metadata: environmentMetadata(env, problems),
    clusterId,
    trustDomain,
    domain: "cluster.local",
  };
}
