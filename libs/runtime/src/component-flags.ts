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

/** Options that every component of the control plane has when it runs alone. */
export const componentFlags = {
  host: { kind: "string", default: "127.0.0.1", describe: "address to listen on" },
  httpHost: { kind: "string", describe: "address of metrics, readiness and debug; default: --host" },
  trustDomain: { kind: "string", default: "cluster.local", describe: "SPIFFE trust domain", env: ["TRUST_DOMAIN"] },
  tokenPublicKey: {
    kind: "string",
    required: true,
    describe: "PEM file of the key that the service-account tokens of callers are signed with",
  },
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

/** Writes which ports this process uses, for whoever started it. */
export async function writePorts(file: string | undefined, ports: Readonly<Record<string, number>>): Promise<void> {
  if (file !== undefined) await atomicWriteFile(file, `${JSON.stringify({ pid: process.pid, ...ports })}\n`, 0o600);
}
