import { join } from "node:path";
import type { Clock } from "@lateen/kernel";
import { createRootCa, createTokenKey, mintToken } from "@lateen/pki";
import { atomicWriteFile, readFileIfExists } from "@lateen/runtime";
import type { StateDir } from "./state-dir.ts";

/** Life of a pod's token; it is replaced when half of it is over. */
export const TOKEN_TTL_SECONDS = 3600;

/** The mesh's root of trust as the supervisor uses it. */
export interface MeshIdentity {
  readonly rootPem: string;
  mint(pod: { readonly namespace: string; readonly serviceAccount: string; readonly name: string }): string;
}

/** Reads the CA and the token key of a mesh, and makes them the first time. Private keys are 0600 and never leave their files. */
export async function loadMeshIdentity(state: StateDir, trustDomain: string, clock: Clock): Promise<MeshIdentity> {
  const rootPem = (await readFileIfExists(state.rootCert)) ?? (await makeCa(state, trustDomain, clock));
  const privatePem = (await readFileIfExists(state.tokenKey)) ?? (await makeTokenKey(state));
  return {
    rootPem,
    mint: ({ namespace, serviceAccount, name }) =>
      mintToken({ privatePem, namespace, serviceAccount, pod: name, ttlSeconds: TOKEN_TTL_SECONDS }, clock),
  };
}

async function makeCa(state: StateDir, trustDomain: string, clock: Clock): Promise<string> {
  const ca = createRootCa({ trustDomain }, clock);
  await atomicWriteFile(join(state.ca, "ca-key.pem"), ca.keyPem, 0o600);
  await atomicWriteFile(join(state.ca, "ca-cert.pem"), ca.certPem, 0o600);
  await atomicWriteFile(join(state.ca, "cert-chain.pem"), ca.chainPem, 0o600);
  // Last: its presence says that the others are complete.
  await atomicWriteFile(state.rootCert, ca.rootPem, 0o600);
  return ca.rootPem;
}

async function makeTokenKey(state: StateDir): Promise<string> {
  const key = createTokenKey();
  await atomicWriteFile(state.tokenPub, key.publicPem, 0o600);
  await atomicWriteFile(state.tokenKey, key.privatePem, 0o600);
  return key.privatePem;
}
