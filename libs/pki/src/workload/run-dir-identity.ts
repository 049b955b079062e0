import { readFileSync } from "node:fs";
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

function readNow(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw missingRunFile(path, error);
  }
}
