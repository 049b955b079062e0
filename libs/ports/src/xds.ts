import type { Scope } from "@lateen/kernel";
import type {
  DeltaDiscoveryRequest,
  DeltaDiscoveryResponse,
  DiscoveryRequest,
  DiscoveryResponse,
} from "@lateen/proto/envoy/service/discovery/v3/discovery";
import type { Caller } from "./identity.ts";

/**
 * One open ADS stream as the xDS engine sees it: plain messages in, plain messages out, no sockets.
 * `send` returns false when the transport is full; the engine then waits for `drained`.
 */
export interface AdsTransport<Response> {
  send(response: Response): boolean;
  /**
   * False while all streams together hold so much unsent that nothing should be made for this one; `drained` follows when that has
   * changed. Absent means always true.
   */
  ready?(): boolean;
  /** Ends the stream with a gRPC status code and text. */
  close(code: number, message: string): void;
}

export interface AdsSession<Request> {
  receive(request: Request): void;
  /** The transport can take more. */
  drained(): void;
  /** The peer is gone. */
  closed(): void;
}

/**
 * The server side of ADS. Implemented by pilot on libs/xds, served by adapter-grpc. `caller` is undefined on plaintext 15010. With `only`,
 * a type URL, the stream is one of that type's own service: requests may leave the type out, and no other is served.
 */
export interface AdsServer {
  openSotw(
    caller: Caller | undefined,
    transport: AdsTransport<DiscoveryResponse>,
    only?: string,
  ): AdsSession<DiscoveryRequest>;
  openDelta(
    caller: Caller | undefined,
    transport: AdsTransport<DeltaDiscoveryResponse>,
    only?: string,
  ): AdsSession<DeltaDiscoveryRequest>;
}

/** TLS and credentials of a client of the control plane. Read anew for every connection, so rotation needs no restart. */
export interface ChannelIdentity {
  /** PEM bundle that the server's certificate must chain to. */
  readonly rootPem: string;
  /** Projected token, sent as `authorization: Bearer …`. */
  readonly token?: string;
  /** Client certificate, where the server wants one. */
  readonly certPem?: string;
  readonly keyPem?: string;
}

export interface ChannelOptions {
  /** `host:port`; several replicas as `address:port,address:port`, of which the first that answers is taken. */
  readonly address: string;
  /** DNS name the server's certificate must carry, e.g. `istiod.istio-system.svc`. */
  readonly serverName: string;
  readonly identity: () => ChannelIdentity;
}

/** What a connected delta ADS client tells its owner. */
export interface AdsClientEvents {
  opened(): void;
  received(response: DeltaDiscoveryResponse): void;
  /** The stream ended; the connector reconnects by itself with back-off, `opened` comes again. */
  disconnected(reason: string): void;
}

/** The client side: keeps one delta ADS stream open for as long as the scope lives. Implemented by adapter-grpc. */
export type ConnectAds = (
  scope: Scope,
  channel: ChannelOptions,
  events: AdsClientEvents,
) => { send(request: DeltaDiscoveryRequest): void };

/** Asks a CA for a certificate (IstioCertificateService). Implemented by adapter-grpc. Resolves to PEM certificates, leaf first, root last. */
export type SignCsr = (channel: ChannelOptions, csrPem: string, validitySeconds: number) => Promise<readonly string[]>;
