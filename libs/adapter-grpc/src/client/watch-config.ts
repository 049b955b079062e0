import type { ServiceError } from "@grpc/grpc-js";
import type { Logger, Scope } from "@lateen/kernel";
import type { AcceptedObject, ChannelOptions, StateDelta, StateEntry } from "@lateen/ports";
import { ConfigDistributionClient, type WatchResponse } from "@lateen/proto/lateen/config/v1/config";
import { fromConfigEntry } from "../config-entry.ts";
import { channelMaterial } from "./channel.ts";
import { type ClientDeps, keepConnected, systemDeps } from "./keep-connected.ts";

/** Whether the configuration is being followed right now. `reason` says why not. */
export type WatchState = { readonly connected: true } | { readonly connected: false; readonly reason: string };

export interface WatchConfigOptions {
  /** Only these kinds; default all. */
  readonly kinds?: readonly string[];
  readonly logger?: Logger;
  readonly deps?: ClientDeps;
}

/**
 * Follows galley's accepted configuration until the scope closes. After every reconnect the first delta is a snapshot again. A galley that
 * led before one that was heard already is not listened to, and another one is tried.
 * Objects that this version cannot read are logged and left out.
 */
export function watchConfig(
  scope: Scope,
  channel: ChannelOptions,
  receive: (delta: StateDelta<AcceptedObject>) => void,
  onState: (state: WatchState) => void = () => {},
  options: WatchConfigOptions = {},
): void {
  let newest = 0n;
  keepConnected(
    scope,
    options.deps ?? systemDeps(),
    (ended) => {
      const material = channelMaterial(channel);
      const client = new ConfigDistributionClient(material.target, material.credentials, material.options);
      const stream = client.watch({ kinds: [...(options.kinds ?? [])] }, material.metadata);
      let healthy = false;
      let over = false;
      stream.on("data", (response: WatchResponse) => {
        if (over) return;
        if (response.epoch !== 0n && response.epoch < newest) {
          return ended({ reason: "a galley answered that does not lead any more", healthy: false });
        }
        newest = response.epoch > newest ? response.epoch : newest;
        if (!healthy) onState({ connected: true });
        healthy = true;
        receive(toDelta(response, options.logger));
      });
      stream.on("error", (error: ServiceError) => ended({ reason: error.details || error.message, healthy }));
      stream.on("end", () => ended({ reason: "the server ended the stream", healthy }));
      return () => {
        over = true;
        stream.cancel();
        client.close();
      };
    },
    (reason) => onState({ connected: false, reason }),
  );
}

function toDelta(response: WatchResponse, logger: Logger | undefined): StateDelta<AcceptedObject> {
  const upserted: StateEntry<AcceptedObject>[] = [];
  for (const entry of response.upserted) {
    const accepted = fromConfigEntry(entry);
    if (accepted.ok) upserted.push({ key: entry.key, value: accepted.value, revision: Number(entry.revision) });
    else logger?.warn({ event: "config.object_unreadable", key: entry.key, reason: accepted.error });
  }
  return {
    snapshot: response.snapshot,
    revision: Number(response.revision),
    ...(response.epoch === 0n ? {} : { epoch: Number(response.epoch) }),
    upserted,
    removed: response.removed,
  };
}
