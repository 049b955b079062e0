import { readFile } from "node:fs/promises";
import { badConfiguration } from "./errors.ts";
import { atomicWriteFile } from "./files.ts";
import type { FlagSpec } from "./flags.ts";

/** A port option. */
export const portFlag = (describe: string, value: number) =>
  ({
    kind: "number",
    min: 0,
    max: 65_535,
    default: value,
    describe: `${describe}; 0 takes a free port`,
  }) as const satisfies FlagSpec;

/** How the Kubernetes API server is found, where it is used. */
export const kubernetesFlags = {
  kubeconfig: {
    kind: "string",
    describe: "kubeconfig of the Kubernetes API server; default: the service account of the pod",
    env: ["KUBECONFIG"],
  },
  kubeContext: { kind: "string", describe: "context of the kubeconfig; default: its current one" },
} as const satisfies Readonly<Record<string, FlagSpec>>;

/** Which of several control planes of a cluster this is. */
export const revisionFlag = {
  kind: "string",
  default: "default",
  pattern: /^[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?$/,
  describe: "revision of this control plane: letters of lower case, digits, dashes; the end of its objects' names",
} as const satisfies FlagSpec;

/** Options that every component of the control plane has when it runs alone. */
export const componentFlags = {
  host: { kind: "string", default: "127.0.0.1", describe: "address to listen on" },
  httpHost: { kind: "string", describe: "address of metrics, readiness and debug; default: --host" },
  trustDomain: { kind: "string", default: "cluster.local", describe: "SPIFFE trust domain", env: ["TRUST_DOMAIN"] },
  revision: revisionFlag,
  tokenReview: {
    kind: "choice",
    choices: ["key", "kubernetes"],
    default: "key",
    describe: "who says whose a service-account token is: --token-public-key, or the Kubernetes API server",
  },
  tokenPublicKey: {
    kind: "string",
    describe: "PEM file of the key that the service-account tokens of callers are signed with",
  },
  ...kubernetesFlags,
  controlSocket: { kind: "string", describe: "unix socket (0600) for the mesh's owner; no identity is asked there" },
  portsFile: { kind: "string", describe: "file that receives the ports in use, as JSON" },
} as const satisfies Readonly<Record<string, FlagSpec>>;

/** Options of those that get their certificate from citadel. */
export const identifiedFlags = {
  runDir: {
    kind: "string",
    required: true,
    describe: "directory with token and root-cert.pem; receives key.pem and cert-chain.pem",
  },
  tokenFile: { kind: "string", describe: "where the platform puts the token, if not into the run directory" },
  rootCertFile: { kind: "string", describe: "where the platform puts the root certificate, if not there" },
  caAddress: { kind: "string", required: true, describe: "host:port of citadel, or several separated by commas" },
  certTtl: { kind: "duration", default: "24h", describe: "life asked for the component's own certificate" },
} as const satisfies Readonly<Record<string, FlagSpec>>;

/**
 * The key that tokens are signed with, for `--token-review key`.
 * @throws LTN6003 when its file is not named.
 */
export async function readTokenKey(config: { readonly tokenPublicKey: string | undefined }): Promise<string> {
  const when = "unless --token-review kubernetes is given";
  return readFile(needed(config.tokenPublicKey, "--token-public-key", when), "utf8");
}

/**
 * The value of an option that is needed only together with others.
 * @throws LTN6003 without it.
 */
export function needed<T>(value: T | undefined, flag: string, when: string): T {
  if (value === undefined) throw badConfiguration([`${flag} is required ${when}`]);
  return value;
}

/** Options of those that share state and events over NATS. */
export const natsFlags = {
  natsUrl: {
    kind: "list",
    describe:
      "nats://HOST:PORT or tls://HOST:PORT of a server with JetStream, or several separated by commas; none: NATS is not used",
  },
  natsMesh: {
    kind: "string",
    default: "default",
    describe: "keeps meshes on one NATS apart: letters, digits, - and _",
  },
  natsCredentials: {
    kind: "string",
    describe: "file with what proves to NATS who this is; may be replaced while it runs",
  },
  natsCredentialsKind: {
    kind: "choice",
    choices: ["creds", "nkey", "user", "token"],
    default: "creds",
    describe: "what that file holds: a .creds text, an nkey seed, USER:PASSWORD, or a token",
  },
  natsCa: { kind: "string", describe: "PEM file with the authorities that sign NATS servers; default: the system's" },
  natsCert: { kind: "string", describe: "PEM file with a certificate for NATS" },
  natsKey: { kind: "string", describe: "PEM file with its key" },
  natsReplicas: {
    kind: "number",
    min: 1,
    max: 5,
    default: 1,
    describe: "copies that a cluster of NATS servers keeps of a bucket that is made",
  },
} as const satisfies Readonly<Record<string, FlagSpec>>;

/** Writes which ports this process uses, for whoever started it. */
export async function writePorts(file: string | undefined, ports: Readonly<Record<string, number>>): Promise<void> {
  if (file !== undefined) await atomicWriteFile(file, `${JSON.stringify({ pid: process.pid, ...ports })}\n`, 0o600);
}
