import type { Clock, Logger, Random, Scope } from "@lateen/kernel";
import type { ChannelOptions, SignCsr } from "@lateen/ports";
import { createCsr } from "../csr.ts";
import { linkProjected, type ProjectedFiles, tokenIdentity, workloadOrToken } from "./run-dir-identity.ts";
import { WorkloadCertificate, type WorkloadIdentity } from "./workload-certificate.ts";

/** What a component is told about its identity when it is started. */
export interface ComponentSettings extends ProjectedFiles {
  /** Holds `token` and `root-cert.pem`; receives certificate and key, so that a restart does not need the CA. */
  readonly runDir: string;
  readonly trustDomain: string;
  /** `host:port` of citadel, or several. */
  readonly caAddress: string;
  /** Milliseconds of life asked for. */
  readonly certTtl: number;
}

/** Name in citadel's certificates. */
const CA_NAME = "istio-citadel.istio-system.svc";

export interface ComponentIdentityOptions {
  readonly settings: ComponentSettings;
  /** Service account of `istio-system` that the token is of. */
  readonly serviceAccount: string;
  readonly sign: SignCsr;
  readonly clock: Clock;
  readonly random: Random;
  readonly scope: Scope;
  readonly logger: Logger;
}

/** Key and certificate that a component of the control plane serves with, PEM. */
export interface ComponentTls {
  readonly keyPem: string;
  readonly certPem: string;
  readonly rootPem: string;
}

/** Who a component of the control plane is, to its clients and to other components. */
export interface ComponentIdentity {
  /** As of now. */
  tls(): ComponentTls;
  /** Called with every later certificate. */
  onRenewed(apply: (tls: ComponentTls) => void): void;
  /** A channel to another component, under this identity. */
  channelTo(address: string, serverName: string): ChannelOptions;
}

/**
 * Gets a component its certificate from citadel, and renews it at half its life until the scope closes. Waits for the first one as long as it
 * takes: while citadel is away, a component without a stored certificate does not start.
 * @throws the scope's reason when it closes before.
 */
export async function componentIdentity(options: ComponentIdentityOptions): Promise<ComponentIdentity> {
  const { settings, serviceAccount, clock, random, scope, logger } = options;
  const { runDir, trustDomain, caAddress, certTtl } = settings;
  await linkProjected(runDir, settings);
  const first = Promise.withResolvers<WorkloadIdentity>();
  const listeners: ((tls: ComponentTls) => void)[] = [];
  const certificate = new WorkloadCertificate({
    runDir,
    ttlSeconds: certTtl / 1000,
    clock,
    random,
    scope,
    logger,
    spiffeId: `spiffe://${trustDomain}/ns/istio-system/sa/${serviceAccount}`,
    createCsr: async (spiffeId) => createCsr({ spiffeId }),
    sign: (csrPem, ttlSeconds) =>
      options.sign(
        { address: caAddress, serverName: CA_NAME, identity: () => tokenIdentity(runDir) },
        csrPem,
        ttlSeconds,
      ),
    onIdentity: (identity) => {
      first.resolve(identity);
      for (const apply of listeners) apply(tlsOf(identity));
    },
  });
  scope.signal.addEventListener("abort", () => first.reject(scope.signal.reason), { once: true });
  await certificate.start();
  const initial = await first.promise;
  return {
    tls: () => tlsOf(certificate.current ?? initial),
    onRenewed: (apply) => listeners.push(apply),
    channelTo: (address, serverName) => ({
      address,
      serverName,
      identity: () => workloadOrToken(runDir, certificate.current, clock.now()),
    }),
  };
}

function tlsOf({ privateKeyPem, certChainPem, rootsPem }: WorkloadIdentity): ComponentTls {
  return { keyPem: privateKeyPem, certPem: certChainPem, rootPem: rootsPem };
}
