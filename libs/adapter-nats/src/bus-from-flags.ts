import type { NatsBusOptions } from "./nats-bus.ts";
import type { CredentialsKind } from "./socket/credentials.ts";

/** The options of NATS as programs take them (`--nats-url` …). */
export interface NatsFlags {
  readonly natsUrl: readonly string[];
  readonly natsMesh: string;
  readonly natsCredentials: string | undefined;
  readonly natsCredentialsKind: string;
  readonly natsCa: string | undefined;
  readonly natsCert: string | undefined;
  readonly natsKey: string | undefined;
  readonly natsReplicas: number;
}

/** Where NATS is and how to get in; undefined when it is not to be used. */
export function natsOptionsOf(
  flags: NatsFlags,
): Pick<NatsBusOptions, "servers" | "mesh" | "credentials" | "tls" | "replicas"> | undefined {
  const servers = flags.natsUrl.flatMap((text) => text.split(",")).filter((text) => text !== "");
  if (servers.length === 0) return undefined;
  const { natsCa: caFile, natsCert: certFile, natsKey: keyFile, natsCredentials: file } = flags;
  return {
    servers,
    mesh: flags.natsMesh,
    replicas: flags.natsReplicas,
    // The program has checked that it is one of these.
    ...(file === undefined ? {} : { credentials: { file, kind: flags.natsCredentialsKind as CredentialsKind } }),
    ...(caFile === undefined && certFile === undefined && keyFile === undefined
      ? {}
      : { tls: { caFile, certFile, keyFile } }),
  };
}
