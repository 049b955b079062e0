import { readFileSync } from "node:fs";
import { mkdir, rename, rm, symlink } from "node:fs/promises";
import { join } from "node:path";
import type { ChannelIdentity } from "@lateen/ports";
import { missingRunFile } from "../errors.ts";
import type { WorkloadIdentity } from "./workload-certificate.ts";

/**
 * `root-cert.pem` and `token` of a run directory, read anew for every connection because both are replaced while we run.
 * @throws LTN4004 when one of them cannot be read.
 */
export function tokenIdentity(runDir: string): ChannelIdentity {
  const rootPath = join(runDir, "root-cert.pem");
  const tokenPath = join(runDir, "token");
  return { rootPem: readNow(rootPath), token: readNow(tokenPath).trim() };
}

/** The workload certificate once there is one and while it is valid, else the token. @throws LTN4004 as {@link tokenIdentity}. */
export function workloadOrToken(
  runDir: string,
  workload: WorkloadIdentity | undefined,
  nowMs: number,
): ChannelIdentity {
  if (workload === undefined || workload.notAfter <= nowMs) return tokenIdentity(runDir);
  return { rootPem: workload.rootsPem, certPem: workload.certChainPem, keyPem: workload.privateKeyPem };
}

/** Where a platform puts what a run directory holds elsewhere: Kubernetes mounts tokens and root certificates as volumes of their own. */
export interface ProjectedFiles {
  readonly tokenFile?: string | undefined;
  readonly rootCertFile?: string | undefined;
}

/**
 * Makes mounted files appear in a run directory as `token` and `root-cert.pem`: as links, so that what the platform replaces is seen at the next
 * reading. The directory is made if need be.
 */
export async function linkProjected(runDir: string, { tokenFile, rootCertFile }: ProjectedFiles = {}): Promise<void> {
  const links = [
    ["token", tokenFile],
    ["root-cert.pem", rootCertFile],
  ] as const;
  for (const [name, target] of links) {
    if (target === undefined) continue;
    await mkdir(runDir, { recursive: true, mode: 0o700 });
    const temporary = join(runDir, `${name}.link`);
    await rm(temporary, { force: true });
    await symlink(target, temporary);
    await rename(temporary, join(runDir, name));
  }
}

function readNow(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw missingRunFile(path, error);
  }
}
