import { type ChannelCredentials, type ClientOptions, credentials, Metadata } from "@grpc/grpc-js";
import type { ChannelOptions } from "@lateen/ports";
import { badTlsMaterial } from "../errors.ts";

/** Largest message a client of the control plane accepts. */
const MAX_RECEIVE = 256 * 1024 * 1024;

/** What a client needs for one connection; read anew each time, because certificates and tokens change under us. */
export interface ChannelMaterial {
  /** What grpc-js connects to. */
  readonly target: string;
  readonly credentials: ChannelCredentials;
  readonly options: Partial<ClientOptions>;
  readonly metadata: Metadata;
}

/**
 * TLS with our root only, the server's name pinned, and the caller's token or certificate.
 * @throws LTN6402 when the PEM texts are unusable; whatever `identity` throws.
 */
export function channelMaterial(channel: ChannelOptions): ChannelMaterial {
  const identity = channel.identity();
  const metadata = new Metadata();
  if (identity.token !== undefined) metadata.set("authorization", `Bearer ${identity.token}`);
  try {
    return {
      target: targetOf(channel.address),
      credentials: endingWithChannel(
        credentials.createSsl(
          Buffer.from(identity.rootPem),
          identity.keyPem === undefined ? null : Buffer.from(identity.keyPem),
          identity.certPem === undefined ? null : Buffer.from(identity.certPem),
        ),
      ),
      metadata,
      options: {
        "grpc.ssl_target_name_override": channel.serverName,
        "grpc.default_authority": channel.serverName,
        "grpc.keepalive_time_ms": 30_000,
        "grpc.keepalive_timeout_ms": 10_000,
        "grpc.max_receive_message_length": MAX_RECEIVE,
        // Own connection per client: pooled ones would keep the identity they were opened with.
        "grpc.use_local_subchannel_pool": 1,
        // An http_proxy in the environment is meant for the workload, not for us.
        "grpc.enable_http_proxy": 0,
        "grpc.service_config_disable_resolution": 1,
        "grpc.enable_retries": 0,
        "grpc.enable_channelz": 0,
      },
    };
  } catch (error) {
    throw badTlsMaterial("the control-plane client", error);
  }
}

/**
 * The same credentials, with which a channel that was closed connects no more. grpc-js ends the connection of a closed channel, but not its
 * pause between two attempts: after that it would connect once more, and keep a connection that nobody has for as long as the server lives.
 */
function endingWithChannel(credentials: ChannelCredentials): ChannelCredentials {
  const create = credentials._createSecureConnector.bind(credentials);
  credentials._createSecureConnector = (...args) => {
    const connector = create(...args);
    let over = false;
    return {
      connect: (socket) => connector.connect(socket),
      waitForReady: () => (over ? Promise.reject(new Error("the channel was closed")) : connector.waitForReady()),
      getCallCredentials: () => connector.getCallCredentials(),
      destroy() {
        over = true;
        connector.destroy();
      },
    };
  };
  return credentials;
}

/** gRPC's name syntax has lists of addresses of one family only, and none of names. */
function targetOf(address: string): string {
  const replicas = address.split(",").map((part) => part.trim());
  if (replicas.length === 1) return address;
  return `${replicas.every((part) => part.startsWith("[")) ? "ipv6" : "ipv4"}:${replicas.join(",")}`;
}
