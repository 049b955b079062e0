import { randomBytes } from "node:crypto";
import { type Clock, type Logger, messageOf, type Scope, silentLogger, sleep } from "@lateen/kernel";
import type { KubernetesApi } from "../client/api.ts";
import { isFields } from "../client/objects.ts";
import { isRefused } from "../errors.ts";

/** Names of the user, and of the files that a Secret of a store holds. */
export const STORE_USER = "lateen";
export const STORE_FILES = {
  /** Of the user {@link STORE_USER}. */
  password: "password",
  /** `USER:PASSWORD`, as `--nats-credentials` takes it. */
  credentials: "credentials",
  /** Redis' own form: this user and nobody else, not even the one without a name. */
  acl: "users.acl",
  certificate: "tls.crt",
  key: "tls.key",
} as const;

/** A certificate of a store, PEM. */
export interface StoreCertificate {
  readonly certPem: string;
  readonly keyPem: string;
}

export interface StoreSecretsOptions {
  /** Services of the stores in this namespace; the Secret of each has its name. */
  readonly stores: readonly string[];
  readonly issue: (dnsNames: readonly string[]) => StoreCertificate;
  /** Whether clients that trust today's root accept a certificate. */
  readonly trusts: (certPem: string) => boolean;
  readonly scope: Scope;
  readonly clock: Clock;
  readonly logger?: Logger;
}

const RETRY_MS = 5_000;

/**
 * Makes Secrets with a password and a certificate for the stores beside the control plane, each when it is not there; pods of the stores
 * and of their users wait for it. What is there is never replaced: a store reads it once, at its start. Goes on trying for as long as the
 * API server does not let it, because nothing of the mesh may depend on a store.
 */
export async function keepStoreSecrets(api: KubernetesApi, options: StoreSecretsOptions): Promise<void> {
  const { stores, scope, clock, logger = silentLogger } = options;
  const waiting = new Set(stores);
  while (!scope.signal.aborted) {
    for (const store of waiting) {
      try {
        await keepOne(api, store, options);
        waiting.delete(store);
      } catch (error) {
        logger.warn({ event: "store_secret.failed", secret: store, reason: messageOf(error) });
      }
    }
    if (waiting.size === 0) return;
    await sleep(clock, RETRY_MS, scope.signal).catch(() => undefined);
  }
}

async function keepOne(api: KubernetesApi, store: string, options: StoreSecretsOptions): Promise<void> {
  const { logger = silentLogger } = options;
  const { namespace } = api;
  const secrets = { group: "", version: "v1", plural: "secrets", namespace };
  const secret = `${namespace}/${store}`;
  try {
    const { data } = await api.get(secrets, store);
    const certificate = isFields(data) ? data[STORE_FILES.certificate] : undefined;
    const pem = typeof certificate === "string" ? Buffer.from(certificate, "base64").toString("utf8") : "";
    if (!options.trusts(pem)) {
      const hint = "delete the Secret and restart citadel, then the store and its users";
      logger.warn({ event: "store_secret.not_trusted", secret, hint });
    }
    return;
  } catch (error) {
    if (!isRefused(error, 404)) throw error;
  }
  try {
    await api.create(secrets, {
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name: store, namespace, labels: { "app.kubernetes.io/part-of": "lateen" } },
      type: "Opaque",
      data: Object.fromEntries(
        Object.entries(contentOf(store, namespace, options)).map(([file, text]) => [
          file,
          Buffer.from(text).toString("base64"),
        ]),
      ),
    });
    logger.info({ event: "store_secret.made", secret });
  } catch (error) {
    // Another replica was quicker.
    if (!isRefused(error, 409)) throw error;
  }
}

function contentOf(store: string, namespace: string, { issue }: StoreSecretsOptions): Readonly<Record<string, string>> {
  // It begins with a letter, so that no configuration takes it for a number.
  const password = `p${randomBytes(32).toString("hex")}`;
  const { certPem, keyPem } = issue([`${store}.${namespace}.svc`, `${store}.${namespace}`]);
  return {
    [STORE_FILES.password]: password,
    [STORE_FILES.credentials]: `${STORE_USER}:${password}`,
    [STORE_FILES.acl]: `user default off\nuser ${STORE_USER} on >${password} ~* &* +@all\n`,
    [STORE_FILES.certificate]: certPem,
    [STORE_FILES.key]: keyPem,
  };
}
