import { NameTable } from "@lateen/proto/istio/networking/nds/v1/nds";
import { defineQuery, type Read } from "../engine/query-engine.ts";
import { type NamedService, nameTable } from "../lower/name-table.ts";
import { type EncodedResource, sameJson, sameMap } from "../resource.ts";
import { type ProxyScope, scopeKey } from "../scope.ts";
import { destinationByHost } from "../world/destinations.ts";
import { endpointsOfService } from "../world/services.ts";
import { visibleServices } from "../world/visibility.ts";
import { encode } from "./encode.ts";

/** Name of the one NDS resource. */
export const NAME_TABLE = "nds";

/** The mesh's name table as a proxy sees it. */
export const scopeNames = defineQuery<ProxyScope, ReadonlyMap<string, EncodedResource>>({
  name: "scopeNames",
  key: scopeKey,
  compute: (read, scope) => {
    const named = read.ask(visibleServices, scope).map((service) => ({
      service,
      pods: read.ask(podNames, { host: service.host, namespace: scope.namespace }),
      addresses:
        service.addresses.length > 0
          ? service.addresses.filter((address) => !address.includes("/"))
          : read.ask(addressesByHost, { host: service.host, namespace: scope.namespace }),
    }));
    return new Map([[NAME_TABLE, encode(read, NameTable, NAME_TABLE, nameTable(named))]]);
  },
  equal: sameMap,
});

/** Addresses a service's name answers with: its VIPs, for headless services those of its ready endpoints. */
const addressesByHost = defineQuery<HostKey, NamedService["addresses"]>({
  name: "addresses",
  key: ({ host, namespace }) => `${namespace}/${host}`,
  compute: (read, key) => addressesOf(read, key),
  equal: (before, after) => before.join() === after.join(),
});

/** Names of single pods of a headless service; of unready ones only where the service publishes those. */
const podNames = defineQuery<HostKey, NamedService["pods"]>({
  name: "podNames",
  key: ({ host, namespace }) => `${namespace}/${host}`,
  compute: (read, key) => {
    const backend = read.ask(destinationByHost, key)?.backend;
    if (backend?.headless !== true) return [];
    const found = new Map<string, string>();
    for (const { hostname, address, ready } of read.ask(endpointsOfService, backend)) {
      if (hostname !== undefined && ready) found.set(hostname, address);
    }
    return [...found].map(([hostname, address]) => ({ hostname, address }));
  },
  equal: sameJson,
});

type HostKey = { readonly host: string; readonly namespace: string };

function addressesOf(read: Read, key: HostKey): readonly string[] {
  const destination = read.ask(destinationByHost, key);
  if (destination === undefined) return [];
  const { service, backend } = destination;
  const vips = (service.addresses.length > 0 ? service : backend).addresses.filter((address) => !address.includes("/"));
  if (vips.length > 0) return vips;
  if (!backend.headless) return [];
  const ready = read.ask(endpointsOfService, backend).filter((endpoint) => endpoint.ready);
  return [...new Set(ready.map((endpoint) => endpoint.address))].sort();
}
