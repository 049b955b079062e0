import { type Clock, err, LateenError, type Logger, ok, type Result, type Scope } from "@lateen/kernel";
import {
  CONTROL_COMPONENTS,
  controlAccount,
  DEFAULT_REVISION,
  nameInRevision,
  parseControlAccount,
  parseSpiffeId,
  spiffeId,
} from "@lateen/mesh-model";
import {
  certificateFacts,
  checkCa,
  createRootCa,
  generateP256,
  issueCertificate,
  parseCsr,
  privateKeyPem,
  splitPem,
} from "@lateen/pki";
import type { Caller, CaMaterial, SecretStore } from "@lateen/ports";
import { unusableCa } from "./errors.ts";
import { type CitadelCounts, exposition, newCounts } from "./metrics.ts";

export interface CitadelOptions {
  readonly secretStore: SecretStore;
  readonly trustDomain: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Life of a certificate when none is asked for; default 24 hours. */
  readonly defaultTtlSeconds?: number;
  /** Longer requests are refused; default 90 days. */
  readonly maxTtlSeconds?: number;
}

/** Why nothing was signed, in gRPC's terms. */
export interface SignFailure {
  readonly code: "invalidArgument" | "unauthenticated" | "internal";
  /** May be shown to the caller. */
  readonly message: string;
}

/** Key and certificate of a control-plane server. */
export interface ServerCertificate {
  readonly keyPem: string;
  /** Leaf and intermediates. */
  readonly certPem: string;
  readonly rootPem: string;
  /** Epoch milliseconds. */
  readonly notAfter: number;
}

/** The mesh's certificate authority. */
export interface Citadel {
  /** Trust bundle that workloads verify their peers with. */
  readonly rootPem: string;
  /**
   * IstioCertificateService.CreateCertificate. The identity is the authenticated caller's, whatever names the request holds; components
   * of the control plane get their DNS names as well ({@link controlPlaneNames}).
   * @param validitySeconds zero or less asks for the default.
   * @returns leaf, intermediates, root.
   */
  sign(caller: Caller, csrPem: string, validitySeconds: number): Promise<Result<readonly string[], SignFailure>>;
  /** A fresh key and certificate for a server with these DNS names. */
  serverCertificate(dnsNames: readonly string[], ttlSeconds?: number): ServerCertificate;
  /**
   * A server certificate that is replaced at half its life for as long as the scope lives.
   * @param apply gets every replacement, not the first one, which is returned.
   */
  rotatingServerCertificate(
    scope: Scope,
    dnsNames: readonly string[],
    apply: (certificate: ServerCertificate) => void,
  ): ServerCertificate;
  /** For the server that authenticates callers. */
  countAuthenticationFailure(): void;
  /** Prometheus text. */
  metrics(): string;
}

const DAY_SECONDS = 86_400;
const CONTROL_PLANE_NAMESPACE = "istio-system";

/** Services in front of each component. */
const SERVICES = {
  pilot: ["istiod", "istio-pilot"],
  citadel: ["istio-citadel"],
  galley: ["istio-galley"],
  mixer: ["istio-mixer"],
  "sidecar-injector": ["istio-sidecar-injector"],
} as const;

/**
 * DNS names of a component of the control plane, by its service account of `istio-system` (Istio's account names). Clients check them, so nobody
 * else gets them into a certificate. One of another revision has its own and the plain ones: components know each other by these.
 */
export function controlPlaneNames(serviceAccount: string): readonly string[] {
  const whose = parseControlAccount(serviceAccount);
  if (whose === undefined) return [];
  const services = SERVICES[whose.component];
  return [...new Set([whose.revision, DEFAULT_REVISION])].flatMap((revision) =>
    namesOf(...services.map((service) => nameInRevision(service, revision))),
  );
}

/** Names of a control plane in one process: those of all components. */
export function allControlPlaneNames(revision: string = DEFAULT_REVISION): readonly string[] {
  return CONTROL_COMPONENTS.flatMap((component) => controlPlaneNames(controlAccount(component, revision)));
}

/**
 * Opens the CA: the stored one if there is one (`cacerts`), else a new self-signed root that is stored first.
 * @throws LateenError LTN4101 when what is stored does not fit together; it is never replaced.
 */
export async function createCitadel(options: CitadelOptions): Promise<Citadel> {
  const { clock, logger } = options;
  const ca = await openCa(options);
  const checked = checkCa(ca, clock);
  if (!checked.ok) throw unusableCa(checked.error);
  const expiry = { root: rootEnd(ca), chain: checked.value.notAfter };
  logger.info({ event: "ca.ready", trustDomain: options.trustDomain, notAfter: new Date(expiry.chain).toISOString() });
  const counts = newCounts();
  const serverCertificate = (dnsNames: readonly string[], ttlSeconds = DAY_SECONDS): ServerCertificate => {
    const { publicKey, privateKey } = generateP256();
    const publicKeyPem = publicKey.export({ type: "spki", format: "pem" }).toString();
    const issued = issueCertificate(ca, { publicKeyPem, dnsNames, ttlSeconds }, clock);
    const { certPem, rootPem, notAfter } = issued;
    return { keyPem: privateKeyPem(privateKey), certPem, rootPem, notAfter };
  };
  return {
    rootPem: ca.rootPem,
    sign: async (caller, csrPem, validitySeconds) => sign({ ca, counts, options }, caller, csrPem, validitySeconds),
    serverCertificate,
    rotatingServerCertificate(scope, dnsNames, apply) {
      const first = serverCertificate(dnsNames);
      keepFresh(scope, clock, first, () => {
        const next = serverCertificate(dnsNames);
        logger.info({ event: "ca.server_certificate_rotated", notAfter: new Date(next.notAfter).toISOString() });
        apply(next);
        return next;
      });
      return first;
    },
    countAuthenticationFailure() {
      counts.authenticationFailures++;
    },
    metrics: () => exposition(counts, expiry, clock.now()),
  };
}

async function openCa(options: CitadelOptions): Promise<CaMaterial> {
  const stored = await options.secretStore.loadCa();
  if (stored !== undefined) return stored;
  const fresh = createRootCa({ trustDomain: options.trustDomain }, options.clock);
  try {
    await options.secretStore.saveCa(fresh);
  } catch (error) {
    // Another replica may have been quicker: there is one CA.
    const other = await options.secretStore.loadCa().catch(() => undefined);
    if (other === undefined) throw error;
    return other;
  }
  options.logger.info({ event: "ca.created", trustDomain: options.trustDomain });
  return fresh;
}

interface Signer {
  readonly ca: CaMaterial;
  readonly counts: CitadelCounts;
  readonly options: CitadelOptions;
}

function sign(
  signer: Signer,
  caller: Caller,
  csrPem: string,
  validitySeconds: number,
): Result<readonly string[], SignFailure> {
  const { ca, counts, options } = signer;
  counts.csr++;
  const identity = spiffeId(options.trustDomain, caller.namespace, caller.serviceAccount);
  if (!parseSpiffeId(identity).ok) {
    counts.idExtractionErrors++;
    return err({ code: "unauthenticated", message: "the caller's identity is not a workload's" });
  }
  const maxTtlSeconds = options.maxTtlSeconds ?? 90 * DAY_SECONDS;
  if (!(validitySeconds <= maxTtlSeconds)) {
    counts.signErrors++;
    return err({
      code: "invalidArgument",
      message: `a life of ${validitySeconds} s exceeds the maximum of ${maxTtlSeconds} s`,
    });
  }
  const csr = parseCsr(csrPem);
  if (!csr.ok) {
    counts.csrParseErrors++;
    return err({ code: "invalidArgument", message: `the certificate request is not usable: ${csr.error}` });
  }
  const ttlSeconds =
    validitySeconds > 0 ? validitySeconds : Math.min(options.defaultTtlSeconds ?? DAY_SECONDS, maxTtlSeconds);
  try {
    const publicKeyPem = csr.value.publicKey.export({ type: "spki", format: "pem" }).toString();
    const dnsNames = caller.namespace === CONTROL_PLANE_NAMESPACE ? controlPlaneNames(caller.serviceAccount) : [];
    const issued = issueCertificate(ca, { publicKeyPem, spiffeId: identity, dnsNames, ttlSeconds }, options.clock);
    counts.success++;
    options.logger.debug({ event: "ca.issued", identity, via: caller.via, ttlSeconds });
    return ok(issued.chain);
  } catch (error) {
    counts.signErrors++;
    options.logger.error({ event: "ca.sign_failed", identity, error });
    const message = error instanceof LateenError && error.code === "LTN4002" ? error.message : "signing failed";
    return err({ code: "internal", message });
  }
}

/** Renews at half the life, from then on again; timers longer than a day are cut into days so that a changed clock is noticed. */
function keepFresh(scope: Scope, clock: Clock, first: ServerCertificate, renew: () => ServerCertificate): void {
  let renewAt = halfLife(clock, first);
  let cancel = () => {};
  const arm = (): void => {
    const wait = Math.min(Math.max(renewAt - clock.now(), 1000), DAY_SECONDS * 1000);
    cancel = clock.after(wait, () => {
      if (clock.now() >= renewAt) renewAt = halfLife(clock, renew());
      arm();
    });
  };
  arm();
  scope.defer(() => cancel());
}

function halfLife(clock: Clock, certificate: ServerCertificate): number {
  return clock.now() + (certificate.notAfter - clock.now()) / 2;
}

function rootEnd(ca: CaMaterial): number {
  return Math.min(...splitPem(ca.rootPem).map((pem) => certificateFacts(pem).notAfter));
}

function namesOf(...services: readonly string[]): readonly string[] {
  return services.flatMap((service) => [
    `${service}.${CONTROL_PLANE_NAMESPACE}.svc`,
    `${service}.${CONTROL_PLANE_NAMESPACE}`,
  ]);
}
