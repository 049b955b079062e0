import type { Logger, Scope } from "@lateen/kernel";
import type { ChannelOptions, ConnectAds } from "@lateen/ports";
import type { Node } from "@lateen/proto/envoy/config/core/v3/base";
import { createXdsClient, type ReportedHealth, type XdsClient } from "@lateen/xds";
import { type Configuration, types } from "./configuration.ts";
import type { Controller, WantedNames } from "./controller.ts";

export interface DiscoveryOptions {
  readonly node: Node;
  readonly channel: ChannelOptions;
  readonly connectAds: ConnectAds;
  readonly controller: Controller;
  /** What is staged already: its versions are told to the server, which then sends only what differs. */
  readonly configuration: Configuration;
  readonly scope: Scope;
  readonly logger: Logger;
  /** Told when the stream opens, and after every attempt that failed or stream that ended. */
  readonly onConnection: (connected: boolean, reason: string | undefined) => void;
  /** Told after every update. */
  readonly onUpdated: () => void;
}

/** How often the control plane's responses could be taken over, by type URL. */
export interface UpdateCounts {
  success: number;
  rejected: number;
}

/** The delta ADS subscription of this proxy: everything of clusters, listeners and names, and what those refer to of the rest. */
export class Discovery {
  readonly #client: XdsClient;
  readonly #updates = new Map<string, UpdateCounts>();
  #connected = false;
  #lastReason = "not connected yet";
  #askedForSecrets = false;

  constructor(options: DiscoveryOptions) {
    const { controller, configuration, scope, logger, connectAds, channel } = options;
    this.#client = createXdsClient({
      node: options.node,
      scope,
      logger,
      connect: (clientScope, events) =>
        connectAds(clientScope, channel, {
          opened: () => {
            this.#connected = true;
            this.#lastReason = "";
            logger.info({ event: "xds.connected", address: channel.address });
            options.onConnection(true, undefined);
            events.opened();
          },
          received: (response) => events.received(response),
          disconnected: (reason) => {
            this.#connected = false;
            this.#lastReason = reason;
            logger.warn({ event: "xds.disconnected", address: channel.address, reason });
            options.onConnection(false, reason);
            events.disconnected(reason);
          },
        }),
      initialVersions: versionsOf(configuration),
      onUpdate: async (update) => {
        const failures = await controller.update(update);
        this.#count(update.typeUrl, failures.length === 0);
        logger.debug({
          event: "xds.applied",
          typeUrl: update.typeUrl,
          version: update.version,
          upserted: update.upserted.length,
          removed: update.removed.length,
          failures: failures.length,
        });
        options.onUpdated();
        return failures;
      },
    });
    this.#client.subscribe(types.cluster, "*");
    this.#client.subscribe(types.listener, "*");
    this.#client.subscribe(types.nameTable, "*");
  }

  get connected(): boolean {
    return this.#connected;
  }
  /** Why there is no connection; empty while there is one. */
  get lastReason(): string {
    return this.#lastReason;
  }
  get updates(): ReadonlyMap<string, UpdateCounts> {
    return this.#updates;
  }

  /** Tells the control plane how the workload is. */
  reportHealth(health: ReportedHealth): void {
    this.#client.reportHealth(health);
  }

  /** Asks for what clusters and listeners refer to now. */
  want({ endpoints, routes, secrets }: WantedNames): void {
    this.#client.subscribe(types.endpoint, endpoints);
    this.#client.subscribe(types.route, routes);
    // A server that knows no secrets is not asked for none of them.
    if (secrets.size > 0 || this.#askedForSecrets) {
      this.#askedForSecrets = true;
      this.#client.subscribe(types.secret, secrets);
    }
  }

  #count(typeUrl: string, success: boolean): void {
    const counts = this.#updates.get(typeUrl) ?? { success: 0, rejected: 0 };
    if (success) counts.success++;
    else counts.rejected++;
    this.#updates.set(typeUrl, counts);
  }
}

/** Versions by type and name of what did not come from a static configuration. */
function versionsOf(configuration: Configuration): ReadonlyMap<string, ReadonlyMap<string, string>> {
  const versions = new Map<string, Map<string, string>>();
  for (const [typeUrl, resources] of configuration.kept) {
    const held = new Map<string, string>();
    for (const { name, version } of resources.values()) if (version !== "") held.set(name, version);
    versions.set(typeUrl, held);
  }
  return versions;
}
