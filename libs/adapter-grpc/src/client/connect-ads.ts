import type { Client, ClientDuplexStream } from "@grpc/grpc-js";
import { connectivityState, type ServiceError } from "@grpc/grpc-js";
import type { AdsClientEvents, ChannelOptions, ConnectAds } from "@lateen/ports";
import { AggregatedDiscoveryServiceClient } from "@lateen/proto/envoy/service/discovery/v3/ads";
import type { DeltaDiscoveryRequest, DeltaDiscoveryResponse } from "@lateen/proto/envoy/service/discovery/v3/discovery";
import { channelMaterial } from "./channel.ts";
import { type ClientDeps, type Ending, keepConnected, systemDeps } from "./keep-connected.ts";

/** Keeps one delta ADS stream open; see {@link ConnectAds}. */
export const connectAds: ConnectAds = (scope, channel, events) =>
  createConnectAds(systemDeps())(scope, channel, events);

/** The same with time and chance of the caller's choice. */
export function createConnectAds(deps: ClientDeps): ConnectAds {
  return (scope, channel, events) => {
    let stream: ClientDuplexStream<DeltaDiscoveryRequest, DeltaDiscoveryResponse> | undefined;
    keepConnected(
      scope,
      deps,
      (ended) => {
        const attempt = openStream(channel, events, ended);
        stream = attempt.stream;
        return () => {
          if (stream === attempt.stream) stream = undefined;
          attempt.close();
        };
      },
      (reason) => events.disconnected(reason),
    );
    return {
      send(request) {
        // Between streams there is nobody to tell; the next `opened` asks for everything anew.
        if (stream?.writable) stream.write(request);
      },
    };
  };
}

function openStream(channel: ChannelOptions, events: AdsClientEvents, ended: (ending: Ending) => void) {
  const material = channelMaterial(channel);
  const client = new AggregatedDiscoveryServiceClient(material.target, material.credentials, material.options);
  const stream = client.deltaAggregatedResources(material.metadata);
  let healthy = false;
  let over = false;
  whenReady(client, () => {
    if (!over) events.opened();
  });
  stream.on("data", (response: DeltaDiscoveryResponse) => {
    healthy = true;
    if (!over) events.received(response);
  });
  stream.on("error", (error: ServiceError) => ended({ reason: error.details || error.message, healthy }));
  stream.on("end", () => ended({ reason: "the server ended the stream", healthy }));
  return {
    stream,
    close() {
      over = true;
      stream.cancel();
      client.close();
    },
  };
}

/**
 * Runs `then` once the channel is connected. The stream waits for the same and reports failures, so none are reported here. It also asks
 * for the connection: a channel that is asked when it was closed already would connect all the same, for ever.
 */
export function whenReady(client: Client, then: () => void): void {
  const channel = client.getChannel();
  const look = () => {
    const state = channel.getConnectivityState(false);
    if (state === connectivityState.READY) then();
    else if (state !== connectivityState.SHUTDOWN) {
      channel.watchConnectivityState(state, Number.POSITIVE_INFINITY, (error) => {
        if (!error) look();
      });
    }
  };
  look();
}
