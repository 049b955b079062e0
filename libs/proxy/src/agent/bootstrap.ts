import { readFile } from "node:fs/promises";
import { messageOf } from "@lateen/kernel";
import type { ChannelOptions } from "@lateen/ports";
import { packAny } from "@lateen/proto";
import { Cluster } from "@lateen/proto/envoy/config/cluster/v3/cluster";
import { Listener } from "@lateen/proto/envoy/config/listener/v3/listener";
import { type DecodeContext, decodeRun, localities, Refusal, refuse } from "../config/decode/index.ts";
import { upstreamTransport } from "../config/decode/transport.ts";
import { type EnvoyBootstrap, readEnvoyBootstrap } from "../config/envoy-bootstrap.ts";
import type { SecretSpec } from "../config/plan.ts";
import { ReadDocument } from "../config/read-document.ts";
import { type Configuration, types } from "./configuration.ts";
import { badProxyConfig } from "./errors.ts";

/** A bootstrap file as it was read. */
export interface LoadedBootstrap {
  readonly file: string;
  /** The parsed document, for the config dump. */
  readonly document: unknown;
  /** Line of a field, from 1. */
  readonly lineOf: (path: string) => number;
  readonly content: EnvoyBootstrap;
}

/**
 * Reads an Envoy bootstrap in YAML or JSON.
 * @throws LTN5001 naming the field that cannot be honoured.
 */
export async function loadBootstrap(file: string): Promise<LoadedBootstrap> {
  let read: ReadDocument | undefined;
  try {
    const text = await readFile(file, "utf8");
    // Only this mode needs a YAML reader.
    const { default: yaml } = await import("yaml");
    read = new ReadDocument(yaml, text);
    const { value } = read;
    const lineOf = (path: string) => read?.lineOf(path) ?? 1;
    return { file, document: value, content: readEnvoyBootstrap(value), lineOf };
  } catch (error) {
    const place = read !== undefined && error instanceof Refusal ? `${file}:${read.lineOf(error.field)}` : file;
    throw badProxyConfig(place, messageOf(error), error);
  }
}

/**
 * Stages the static resources. One that cannot be honoured ends the start: nobody would send a better one.
 * @throws LTN5001 with the line and the field of all of them.
 */
export function stageStatic({ file, content, lineOf }: LoadedBootstrap, configuration: Configuration): void {
  for (const secret of content.secrets) configuration.addSecret(secret);
  const clusters = content.clusters.filter(({ name }) => name !== content.adsCluster);
  const failed = (list: string) => (failure: { readonly name: string; readonly reason: string }) => {
    const field = failure.reason.split(": ", 1).join("");
    return { ...failure, line: lineOf(`static_resources.${list}[${failure.name}].${field}`) };
  };
  const failures = [
    ...configuration
      .update(
        types.cluster,
        clusters.map((cluster) => ({ name: cluster.name, version: "", any: packAny(Cluster, cluster) })),
        [],
      )
      .map(failed("clusters")),
    ...configuration
      .update(
        types.listener,
        content.listeners.map((listener) => ({ name: listener.name, version: "", any: packAny(Listener, listener) })),
        [],
      )
      .map(failed("listeners")),
  ];
  const [first, ...more] = failures;
  if (first === undefined) return;
  const others = more.map(({ line, name, reason }) => `\n${file}:${line}: ${name}: ${reason}`).join("");
  throw badProxyConfig(`${file}:${first.line}`, `${first.name}: ${first.reason}${others}`);
}

/**
 * How to reach the xDS server that a bootstrap names: the address of its cluster, the cluster's TLS settings.
 * @throws LTN5001 when the cluster is missing, has no fixed address, or speaks plaintext.
 */
export function adsChannel(bootstrap: LoadedBootstrap, context: DecodeContext): ChannelOptions | undefined {
  const { file, content } = bootstrap;
  const name = content.adsCluster;
  if (name === undefined) return undefined;
  try {
    const cluster = content.clusters.find((entry) => entry.name === name) ?? refuse(name, "is no static cluster");
    return channelOf(cluster, context);
  } catch (error) {
    throw badProxyConfig(file, messageOf(error), error);
  }
}

function channelOf(cluster: Cluster, context: DecodeContext): ChannelOptions {
  const at = `cluster ${cluster.name}`;
  const run = decodeRun(context);
  const assignment = cluster.loadAssignment ?? refuse(at, "load_assignment is required");
  const endpoint = localities(assignment, "load_assignment")[0]?.endpoints[0] ?? refuse(at, "has no endpoint");
  const transport = upstreamTransport(cluster.transportSocket, run, `${at}.transport_socket`);
  if (transport.kind !== "tls") return refuse(at, "ADS without TLS is not supported by this proxy");
  const { trust } = transport.validation;
  if (trust === undefined) return refuse(at, "a validation context with trusted_ca is required");
  const rootPem = "pem" in trust ? trust.pem : trustOf(run.secrets.get(trust.secret), at);
  const own = transport.certificateSecret === undefined ? undefined : run.secrets.get(transport.certificateSecret);
  if (transport.certificateSecret !== undefined && own?.kind !== "certificate") {
    return refuse(at, `certificate ${transport.certificateSecret} is not available before the stream opens`);
  }
  const host = endpoint.address.includes(":") ? `[${endpoint.address}]` : endpoint.address;
  return {
    address: `${host}:${endpoint.port}`,
    serverName: transport.sni ?? endpoint.address,
    identity: () => ({
      rootPem,
      ...(own?.kind === "certificate" ? { certPem: own.certChainPem, keyPem: own.privateKeyPem } : {}),
    }),
  };
}

function trustOf(secret: SecretSpec | undefined, at: string): string {
  return secret?.kind === "trust" ? secret.bundlePem : refuse(at, "its trust bundle is not available");
}
