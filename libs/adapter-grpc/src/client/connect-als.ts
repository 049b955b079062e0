import type { ClientWritableStream, ServiceError } from "@grpc/grpc-js";
import type { Scope } from "@lateen/kernel";
import type { ChannelOptions } from "@lateen/ports";
import {
  AccessLogServiceClient,
  type StreamAccessLogsMessage,
  type StreamAccessLogsMessage_Identifier,
} from "@lateen/proto/envoy/service/accesslog/v3/als";
import { channelMaterial } from "./channel.ts";
import { type ClientDeps, keepConnected, systemDeps } from "./keep-connected.ts";

export interface ConnectAlsOptions {
  /** Messages kept while the stream is slow or away; a full queue drops what comes. Default 256. */
  readonly queue?: number;
  readonly onState?: (connected: boolean, reason: string | undefined) => void;
  readonly deps?: ClientDeps;
}

/** A best-effort sender of access logs. Fail mode: drop and count. */
export interface AlsConnection {
  /** False when the message was dropped. The identifier of the last message that had one is repeated on every new stream. */
  send(message: StreamAccessLogsMessage): boolean;
  /** Messages that `send` dropped, and those lost with a stream that broke while sending. */
  readonly dropped: number;
}

/** Keeps a stream to an access log service for as long as the scope lives. */
export function connectAls(scope: Scope, channel: ChannelOptions, options: ConnectAlsOptions = {}): AlsConnection {
  const sender = new AlsSender(options.queue ?? 256);
  keepConnected(
    scope,
    options.deps ?? systemDeps(),
    (ended) => {
      const material = channelMaterial(channel);
      const client = new AccessLogServiceClient(material.target, material.credentials, material.options);
      const started = performance.now();
      // A stream that held for a while was accepted; the server says nothing before its end.
      const healthy = () => performance.now() - started > 1000;
      const stream = client.streamAccessLogs(material.metadata, (error: ServiceError | null) => {
        const reason = error === null ? "the server ended the stream" : error.details || error.message;
        ended({ reason, healthy: healthy() });
      });
      stream.on("error", (error) => ended({ reason: error.message, healthy: healthy() }));
      options.onState?.(true, undefined);
      sender.attach(stream);
      return () => {
        sender.detach(stream);
        stream.cancel();
        client.close();
      };
    },
    (reason) => options.onState?.(false, reason),
  );
  return sender;
}

class AlsSender implements AlsConnection {
  readonly #limit: number;
  readonly #queue: StreamAccessLogsMessage[] = [];
  #identifier: StreamAccessLogsMessage_Identifier | undefined;
  #stream: ClientWritableStream<StreamAccessLogsMessage> | undefined;
  #first = true;
  #writing = false;
  #dropped = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get dropped(): number {
    return this.#dropped;
  }

  send(message: StreamAccessLogsMessage): boolean {
    if (this.#queue.length >= this.#limit) {
      this.#dropped++;
      return false;
    }
    this.#queue.push(message);
    this.#flush();
    return true;
  }

  attach(stream: ClientWritableStream<StreamAccessLogsMessage>): void {
    this.#stream = stream;
    this.#first = true;
    this.#writing = false;
    this.#flush();
  }

  detach(stream: ClientWritableStream<StreamAccessLogsMessage>): void {
    if (this.#stream !== stream) return;
    if (this.#writing) this.#dropped++;
    this.#stream = undefined;
    this.#writing = false;
  }

  /** One message at the network at a time; the others wait here, where they are counted. */
  #flush(): void {
    const stream = this.#stream;
    if (stream === undefined || this.#writing) return;
    const message = this.#queue.shift();
    if (message === undefined) return;
    this.#identifier = message.identifier ?? this.#identifier;
    const identifier = this.#first ? this.#identifier : undefined;
    this.#first = false;
    this.#writing = true;
    stream.write({ logEntries: message.logEntries, ...(identifier ? { identifier } : {}) }, () => {
      if (this.#stream !== stream) return;
      this.#writing = false;
      this.#flush();
    });
  }
}
