import { createPrivateKey, X509Certificate } from "node:crypto";
import { chmod, mkdir, readFile, stat, unlink } from "node:fs/promises";
import { join } from "node:path";
import type { CaMaterial, SecretStore } from "@lateen/ports";
import { caMaterialError } from "../errors.ts";
import { isMissing, replaceFile, syncDirectory } from "../files/atomic-write.ts";

/** Names as in Istio's `cacerts` secret. */
const FILES = {
  certPem: "ca-cert.pem",
  keyPem: "ca-key.pem",
  rootPem: "root-cert.pem",
  chainPem: "cert-chain.pem",
} as const satisfies Record<keyof CaMaterial, string>;
const FIELDS = ["certPem", "keyPem", "rootPem", "chainPem"] as const;

/** Written before the four files are replaced, removed after: a crash in between is finished by the next load. */
const PENDING = "ca-pending.json";

/**
 * The CA in a directory (0700, files 0600): `ca-cert.pem`, `ca-key.pem`, `root-cert.pem`, `cert-chain.pem`. The four change together
 * or not at all, also across kill -9.
 *
 * `loadCa` throws LTN6106 when some are missing or the key is not the certificate's.
 */
export function fileSecretStore(caDir: string): SecretStore {
  return {
    async loadCa() {
      await finishPending(caDir);
      return await readMaterial(caDir);
    },
    async saveCa(material) {
      checkPair(caDir, material);
      await mkdir(caDir, { recursive: true, mode: 0o700 });
      await replaceFile(join(caDir, PENDING), JSON.stringify(material), 0o600);
      await finishPending(caDir);
    },
  };
}

async function finishPending(dir: string): Promise<void> {
  const path = join(dir, PENDING);
  const text = await readOptional(path);
  if (text === undefined) return;
  // replaceFile made it whole; nobody else writes it.
  const material = JSON.parse(text) as CaMaterial;
  for (const field of FIELDS) await replaceFile(join(dir, FILES[field]), material[field], 0o600);
  await unlink(path);
  await syncDirectory(dir);
}

async function readMaterial(dir: string): Promise<CaMaterial | undefined> {
  const [certPem, keyPem, rootPem, chainPem] = await Promise.all(
    FIELDS.map((field) => readOptional(join(dir, FILES[field]))),
  );
  if (certPem === undefined && keyPem === undefined && rootPem === undefined) return undefined;
  if (certPem === undefined) throw caMaterialError(dir, `${FILES.certPem} is missing`);
  if (keyPem === undefined) throw caMaterialError(dir, `${FILES.keyPem} is missing`);
  if (rootPem === undefined) throw caMaterialError(dir, `${FILES.rootPem} is missing`);
  const material = { certPem, keyPem, rootPem, chainPem: chainPem ?? "" };
  checkPair(dir, material);
  await closeToOthers(join(dir, FILES.keyPem));
  return material;
}

function checkPair(dir: string, material: CaMaterial): void {
  let matches: boolean;
  try {
    matches = new X509Certificate(material.certPem).checkPrivateKey(createPrivateKey(material.keyPem));
  } catch {
    // The cause may quote key material.
    throw caMaterialError(dir, "the certificate or the key is not readable PEM");
  }
  if (!matches) throw caMaterialError(dir, `${FILES.keyPem} is not the key of ${FILES.certPem}`);
}

/** A key that was copied in with wider permissions. */
async function closeToOthers(path: string): Promise<void> {
  if (process.platform === "win32") return;
  const { mode } = await stat(path);
  if ((mode & 0o077) !== 0) await chmod(path, 0o600);
}

async function readOptional(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}
