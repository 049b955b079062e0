import type { Diagnostic } from "@lateen/mesh-model";
import type { NackRecord } from "@lateen/xds";
import { type Connection, hasSettled } from "./streams/connection.ts";

/** What pilot knows of one connected proxy. */
export interface ProxyStatus {
  /** xDS node id. */
  readonly node: string;
  readonly pod: string;
  readonly namespace: string;
  readonly kind: "sidecar" | "router";
  /** Version the proxy says it is. */
  readonly version: string;
  readonly protocol: "delta" | "sotw";
  /** RFC 3339. */
  readonly connectedAt: string;
  /** It runs everything pilot has for it. */
  readonly synced: boolean;
  /** Per type URL. */
  readonly types: Readonly<Record<string, ProxyTypeStatus>>;
}

/** Nonces of the last response and of the last acknowledged one; the standing refusal and compile failure, if any. */
export interface ProxyTypeStatus {
  readonly sent?: string;
  readonly acked?: string;
  readonly resources: number;
  readonly nack?: NackRecord;
  /** Why the compiler could not answer; what the proxy had keeps serving. */
  readonly failure?: string;
}

export interface PilotStatus {
  /** Configuration revision that was pushed last. */
  readonly revision: number;
  /** Version of the registry's state that was pushed last, where it numbers them. */
  readonly registryVersion?: string;
  /** Both first snapshots are in. */
  readonly ready: boolean;
  readonly proxies: readonly ProxyStatus[];
  /** Streams that carry one type each, beside or without ADS. Nobody waits for them. */
  readonly typeStreams: readonly ProxyStatus[];
  readonly warnings: readonly Diagnostic[];
}

/** @param push number of the last push. */
export function proxyStatus(connection: Connection, push: number): ProxyStatus | undefined {
  const { proxy, protocol, connectedAt, only } = connection;
  if (proxy === undefined) return undefined;
  const status = connection.status();
  const types: Record<string, ProxyTypeStatus> = {};
  for (const [typeUrl, { sent, acked, nack, resources }] of Object.entries(status.types)) {
    const failure = proxy.source.failures.get(typeUrl);
    types[typeUrl] = {
      ...(sent === undefined ? {} : { sent }),
      ...(acked === undefined ? {} : { acked }),
      resources,
      ...(nack === undefined ? {} : { nack }),
      ...(failure === undefined ? {} : { failure }),
    };
  }
  const { id, pod, namespace, kind } = proxy.node;
  return {
    node: id,
    pod,
    namespace,
    kind,
    version: proxy.version,
    protocol,
    connectedAt: new Date(connectedAt).toISOString(),
    synced: only === undefined ? hasSettled(connection, push) : status.clean,
    types,
  };
}
