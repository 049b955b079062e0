import {
  Client,
  type ClientDuplexStream,
  type Metadata,
  type ServerDuplexStream,
  type ServiceDefinition,
  type ServiceError,
} from "@grpc/grpc-js";
import { type Logger, messageOf } from "@lateen/kernel";
import type { ChannelOptions } from "@lateen/ports";
import { AggregatedDiscoveryServiceService } from "@lateen/proto/envoy/service/discovery/v3/ads";
import { channelMaterial } from "../client/channel.ts";
import { statusError } from "../server/peer.ts";
import type { GrpcService } from "../server/service.ts";

const UNAVAILABLE = 14;

/** Messages go through as bytes. */
const bytes = (value: Buffer) => value;
const definition = Object.fromEntries(
  Object.entries(AggregatedDiscoveryServiceService).map(([name, method]) => [
    name,
    {
      ...method,
      requestSerialize: bytes,
      requestDeserialize: bytes,
      responseSerialize: bytes,
      responseDeserialize: bytes,
    },
  ]),
) as ServiceDefinition;

/**
 * Both ADS variants, carried on to a control plane under the workload's identity: what a proxy or a gRPC library beside it needs to
 * know is the socket, never certificates or tokens. Every stream is a connection of its own, opened with the identity of the moment;
 * when either end stops, so does the other, and the client comes again by its own rules.
 */
export function adsRelay(upstream: ChannelOptions, logger: Logger): GrpcService {
  const open = new Set<(code: number, message: string) => void>();
  const relay = (path: string) => (call: Duplex) => {
    const end = (code: number, message: string) => call.emit("error", statusError(code, message));
    open.add(end);
    const over = () => open.delete(end);
    call.on("cancelled", over).on("close", over);
    try {
      carry(call, path, upstream);
    } catch (error) {
      logger.warn({ event: "relay.failed", reason: messageOf(error) });
      end(UNAVAILABLE, messageOf(error));
    }
  };
  return {
    name: "envoy.service.discovery.v3.AggregatedDiscoveryService",
    definition,
    implementation: Object.fromEntries(Object.entries(definition).map(([name, { path }]) => [name, relay(path)])),
    drain: () => {
      for (const end of [...open]) end(UNAVAILABLE, "the agent is shutting down");
    },
  };
}

type Duplex = ServerDuplexStream<Buffer, Buffer>;

function carry(call: Duplex, path: string, upstream: ChannelOptions): void {
  const material = channelMaterial(upstream);
  const client = new Client(upstream.address, material.credentials, material.options);
  const stream: ClientDuplexStream<Buffer, Buffer> = client.makeBidiStreamRequest(
    path,
    bytes,
    bytes,
    material.metadata as Metadata,
  );
  const close = () => {
    stream.cancel();
    client.close();
  };
  call.on("cancelled", close).on("close", close).on("error", close);
  stream.on("error", (error: ServiceError) => {
    if (!call.cancelled) call.emit("error", statusError(error.code, error.details));
  });
  pump(call, stream);
  pump(stream, call);
}

type Messages = Duplex | ClientDuplexStream<Buffer, Buffer>;

/** Either side waits while the other is slow. */
function pump(from: Messages, to: Messages): void {
  (from as Duplex).on("data", (message: Buffer) => {
    if (to.write(message)) return;
    from.pause();
    (to as Duplex).once("drain", () => from.resume());
  });
  (from as Duplex).on("end", () => to.end());
}
