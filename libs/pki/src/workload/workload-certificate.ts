import { createPrivateKey, X509Certificate } from "node:crypto";
import { chmod, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Clock, type Logger, messageOf, type Random, type Scope } from "@lateen/kernel";
import { badAnswer } from "../errors.ts";
import { certificateFacts } from "../facts.ts";
import { verifyChain } from "../verify.ts";

/** The workload's own certificate and the roots it trusts. */
export interface WorkloadIdentity {
  readonly certChainPem: string;
  readonly privateKeyPem: string;
  readonly rootsPem: string;
  readonly notBefore: number;
  readonly notAfter: number;
  /** When it was obtained, or our best guess. CAs backdate `notBefore`, so the life that counts starts here. */
  readonly obtainedAt: number;
  readonly serial: string;
}

export interface WorkloadCertificateOptions {
  readonly runDir: string;
  readonly spiffeId: string;
  readonly ttlSeconds: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly scope: Scope;
  readonly logger: Logger;
  /** Makes a P-256 key and a CSR for the id. */
  readonly createCsr: (spiffeId: string) => Promise<{ csrPem: string; privateKeyPem: string }>;
  /** Asks the CA; resolves to PEM certificates, leaf first, root last. */
  readonly sign: (csrPem: string, ttlSeconds: number) => Promise<readonly string[]>;
  /** Called for the first certificate and each later one, and when the trusted roots change. */
  readonly onIdentity: (identity: WorkloadIdentity) => void;
}

/** Rotation is due when this share of the lifetime is left: SECRET_GRACE_PERIOD_RATIO … */
const GRACE_RATIO = 0.5;
/** … give or take this much, so that a fleet does not ask at once: SECRET_GRACE_PERIOD_RATIO_JITTER. */
const GRACE_JITTER = 0.01;
/** However short a certificate lives, the CA is not asked more often than this. */
const RENEW_MIN_MS = 1000;
const RETRY_MIN_MS = 500;
const RETRY_MAX_MS = 60_000;
/** How often the projected root certificate is looked at. */
const ROOT_POLL_MS = 10_000;

/**
 * Keeps a valid workload certificate: from disk if a usable one is there, else from the CA; renewed at half of its life. While the
 * CA does not answer the present one goes on serving and attempts continue with back-off. Key and chain are kept in the run
 * directory (0600), so a restart does not need the CA.
 */
export class WorkloadCertificate {
  readonly #options: WorkloadCertificateOptions;
  #identity: WorkloadIdentity | undefined;
  /** Roots that the CA sent with the present certificate. */
  #issuedRoots = "";
  #failures = 0;
  #rotations = 0;
  #lastFailure = "";
  /** Ends the wait for the next renewal. */
  #cancelNext: (() => void) | undefined;
  #renewing = false;
  /** Writes follow each other: key and chain of one certificate must stay together. */
  #storing: Promise<void> = Promise.resolve();

  constructor(options: WorkloadCertificateOptions) {
    this.#options = options;
  }

  get current(): WorkloadIdentity | undefined {
    return this.#identity;
  }
  /** Certificates obtained from the CA. */
  get rotations(): number {
    return this.#rotations;
  }
  /** Attempts in a row that failed. */
  get failures(): number {
    return this.#failures;
  }

  /** Why the last attempt failed; empty after a success. */
  get lastFailure(): string {
    return this.#lastFailure;
  }

  /** Resolves when the present certificate is in its files. */
  stored(): Promise<void> {
    return this.#storing;
  }

  /** Loads what is on disk and starts the upkeep. Resolves after the first look at the disk; `onIdentity` tells the rest. */
  async start(): Promise<void> {
    const { clock, scope } = this.#options;
    const stored = await this.#load();
    if (stored !== undefined) {
      this.#use(stored);
      this.#plan();
    } else {
      void this.#renew();
    }
    scope.defer(clock.every(ROOT_POLL_MS, () => void this.#pollRoots()));
    scope.defer(() => this.#cancelNext?.());
    scope.defer(() => this.#storing);
  }

  async #load(): Promise<WorkloadIdentity | undefined> {
    const { runDir, spiffeId, logger } = this.#options;
    try {
      const certChainPem = await readFile(join(runDir, "cert-chain.pem"), "utf8");
      const privateKeyPem = await readFile(join(runDir, "key.pem"), "utf8");
      const { ttlSeconds } = this.#options;
      const identity = await this.#identityOf(certChainPem.match(PEM) ?? [], privateKeyPem);
      const facts = certificateFacts(certChainPem);
      if (facts.uriSans.length !== 1 || facts.uriSans[0] !== spiffeId) throw badAnswer("it is for another identity");
      if (!(await this.#isTrusted(identity))) throw badAnswer("it does not lead to the root certificate");
      return { ...identity, obtainedAt: Math.max(identity.notBefore, identity.notAfter - ttlSeconds * 1000) };
    } catch (error) {
      logger.debug({ event: "certificate.none_stored", reason: messageOf(error) });
      return undefined;
    }
  }

  /** Checks that key, leaf and lifetime are usable. */
  async #identityOf(chain: readonly string[], privateKeyPem: string): Promise<WorkloadIdentity> {
    const certificates = chain.map((pem) => new X509Certificate(pem));
    const leaf = certificates[0];
    if (leaf === undefined) throw badAnswer("no certificate");
    if (!leaf.checkPrivateKey(createPrivateKey(privateKeyPem))) throw badAnswer("it is not for our key");
    const selfSigned = certificates.map((certificate) => certificate.subject === certificate.issuer);
    const presented = chain.filter((_, index) => index === 0 || !selfSigned[index]);
    const roots = chain.filter((_, index) => index > 0 && selfSigned[index]);
    if (roots.length > 0) this.#issuedRoots = roots.map(withNewline).join("");
    return {
      certChainPem: presented.map(withNewline).join(""),
      privateKeyPem,
      rootsPem: await this.#roots(),
      notBefore: leaf.validFromDate.getTime(),
      notAfter: leaf.validToDate.getTime(),
      obtainedAt: this.#options.clock.now(),
      serial: leaf.serialNumber.toLowerCase(),
    };
  }

  /**
   * Whether it is in its time and signed under the projected roots. After the CA was replaced the certificate on disk is of the
   * old one and nobody would accept it. Without projected roots those of the CA's answer have to do.
   */
  async #isTrusted({ certChainPem, rootsPem }: WorkloadIdentity): Promise<boolean> {
    const projected = await this.#projectedRoots();
    return verifyChain(certChainPem, projected === "" ? rootsPem : projected, this.#options.clock).ok;
  }

  #projectedRoots(): Promise<string> {
    return readFile(join(this.#options.runDir, "root-cert.pem"), "utf8").catch(() => "");
  }

  /** The projected root certificate and those the CA sent, each once. */
  async #roots(): Promise<string> {
    const all = `${await this.#projectedRoots()}\n${this.#issuedRoots}`.match(PEM) ?? [];
    return [...new Set(all.map((pem) => withNewline(pem.trim())))].join("");
  }

  #use(identity: WorkloadIdentity): void {
    this.#identity = identity;
    this.#options.onIdentity(identity);
  }

  #plan(): void {
    const { clock, random, logger } = this.#options;
    const identity = this.#identity;
    if (identity === undefined) return;
    const life = identity.notAfter - identity.obtainedAt;
    const ratio = GRACE_RATIO + GRACE_JITTER * (2 * random.next() - 1);
    const delayMs = Math.max(RENEW_MIN_MS, identity.notAfter - life * ratio - clock.now());
    logger.info({
      event: "certificate.in_use",
      serial: identity.serial,
      notAfter: new Date(identity.notAfter).toISOString(),
      renewInMs: Math.round(delayMs),
    });
    // Timers take at most 2^31 ms; a longer wait is cut, and planned again when it ends.
    this.#next(Math.min(delayMs, MAX_TIMER_MS), () => {
      if (delayMs > MAX_TIMER_MS) this.#plan();
      else void this.#renew();
    });
  }

  #next(delayMs: number, what: () => void): void {
    this.#cancelNext?.();
    if (!this.#options.scope.closed) this.#cancelNext = this.#options.clock.after(delayMs, what);
  }

  async #renew(): Promise<void> {
    const { scope, spiffeId, ttlSeconds, createCsr, sign } = this.#options;
    if (scope.closed || this.#renewing) return;
    this.#renewing = true;
    this.#cancelNext?.();
    try {
      const { csrPem, privateKeyPem } = await createCsr(spiffeId);
      const chain = await sign(csrPem, ttlSeconds);
      const identity = await this.#identityOf(chain, privateKeyPem);
      if (scope.closed) return;
      this.#failures = 0;
      this.#lastFailure = "";
      this.#rotations++;
      this.#use(identity);
      this.#plan();
      this.#storing = this.#storing.then(() => this.#store(chain, privateKeyPem));
    } catch (error) {
      this.#retry(messageOf(error));
    } finally {
      this.#renewing = false;
    }
  }

  #retry(reason: string): void {
    const { clock, random, logger } = this.#options;
    this.#failures++;
    this.#lastFailure = reason;
    const ceiling = Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** Math.min(this.#failures - 1, 10));
    const delayMs = ceiling * (0.5 + 0.5 * random.next());
    const expired = this.#identity !== undefined && this.#identity.notAfter <= clock.now();
    logger.warn({ event: "certificate.renewal_failed", reason, attempt: this.#failures, delayMs, expired });
    this.#next(delayMs, () => void this.#renew());
  }

  /** The key goes first: a crash in between leaves a pair that does not match, which is then not loaded. */
  async #store(chain: readonly string[], privateKeyPem: string): Promise<void> {
    const { runDir, logger } = this.#options;
    try {
      await replaceFile(join(runDir, "key.pem"), privateKeyPem);
      await replaceFile(join(runDir, "cert-chain.pem"), chain.map(withNewline).join(""));
    } catch (error) {
      logger.error({ event: "certificate.not_stored", reason: messageOf(error) });
    }
  }

  async #pollRoots(): Promise<void> {
    const present = this.#identity;
    if (present === undefined) return;
    const rootsPem = await this.#roots();
    if (rootsPem === "" || rootsPem === present.rootsPem || this.#identity !== present) return;
    this.#options.logger.info({ event: "certificate.roots_changed" });
    const identity = { ...present, rootsPem };
    this.#use(identity);
    if (!(await this.#isTrusted(identity))) void this.#renew();
  }
}

const PEM = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g;
const MAX_TIMER_MS = 0x7fffffff;

function withNewline(pem: string): string {
  return pem.endsWith("\n") ? pem : `${pem}\n`;
}

async function replaceFile(path: string, text: string): Promise<void> {
  const temporary = `${path}.tmp`;
  await writeFile(temporary, text, { mode: 0o600 });
  await chmod(temporary, 0o600);
  await rename(temporary, path);
}
