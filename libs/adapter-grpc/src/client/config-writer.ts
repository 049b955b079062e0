import { encodeObject } from "@lateen/mesh-model";
import type { ChannelOptions, ConfigWriter } from "@lateen/ports";
import { ConfigDistributionClient } from "@lateen/proto/lateen/config/v1/config";
import { notWritten } from "../errors.ts";
import { channelMaterial } from "./channel.ts";

/** Milliseconds one change may take. The caller repeats. */
const DEADLINE_MS = 10_000;

/**
 * Puts objects in force at a galley that runs elsewhere.
 * `write` throws LTN6404 when galley refuses (not retryable) or is not there (retryable), LTN6402 for unusable PEM.
 */
export function remoteConfigWriter(channel: ChannelOptions): ConfigWriter {
  return {
    write({ upserted, removed }) {
      const material = channelMaterial(channel);
      const client = new ConfigDistributionClient(material.target, material.credentials, material.options);
      const request = {
        upserted: upserted.map((object) => Buffer.from(JSON.stringify(encodeObject(object)))),
        removed: [...removed],
      };
      return new Promise<void>((resolve, reject) => {
        client.write(request, material.metadata, { deadline: Date.now() + DEADLINE_MS }, (error) => {
          client.close();
          if (error) reject(notWritten(channel.address, error.code, error.details || error.message));
          else resolve();
        });
      });
    },
  };
}
