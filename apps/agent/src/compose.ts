import { join } from "node:path";
import { adsRelay, secretService, serveLocal, signCsr } from "@lateen/adapter-grpc";
import { envoyBootstrap, fileSecret, grpcBootstrap, type StockNode } from "@lateen/envoy-agent";
import { systemClock } from "@lateen/kernel";
import { createCsr, linkProjected, tokenIdentity, WorkloadCertificate, workloadOrToken } from "@lateen/pki";
import type { ChannelOptions } from "@lateen/ports";
import { atomicWriteFile, type MainContext } from "@lateen/runtime";
import type { AgentSettings } from "./config.ts";

/** How often files that secrets are named after are looked at. */
const FILE_POLL_MS = 10_000;

/** Runs the agent until the scope closes. Resolves when certificate, socket and bootstraps are there. */
export async function composeAgent(settings: AgentSettings, { scope, logger }: MainContext): Promise<void> {
  const { runDir, serverName, caServerName = serverName, discoveryAddress, caAddress = discoveryAddress } = settings;
  const clock = systemClock();
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
  await writeBootstraps(settings, socket);
  logger.info({ event: "agent.ready", socket });
}

async function writeBootstraps(settings: AgentSettings, socket: string): Promise<void> {
  const { runDir, adminAddress, statsPort, healthPort } = settings;
  const node = nodeOf(settings);
  const envoy = envoyBootstrap({
    node,
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

function nodeOf(settings: AgentSettings): StockNode {
  const { podName, podNamespace, instanceIp, serviceAccount, clusterId, trustDomain } = settings;
  return {
    kind: settings.role === "router" ? "router" : "sidecar",
    pod: podName,
    namespace: podNamespace,
    address: instanceIp,
    serviceAccount,
    workload: settings.workloadName ?? podName,
    labels: JSON.parse(settings.labels) as StockNode["labels"],
    ports: JSON.parse(settings.podPorts) as StockNode["ports"],
    clusterId,
    trustDomain,
    domain: "cluster.local",
  };
}
