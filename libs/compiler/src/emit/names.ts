import { NameTable } from "@lateen/proto/istio/networking/nds/v1/nds";
import { defineQuery, type Read } from "../engine/query-engine.ts";
import { type NamedService, nameTable } from "../lower/name-table.ts";
import { type EncodedResource, sameMap } from "../resource.ts";
import { type ProxyScope, scopeKey } from "../scope.ts";
import { destinationByHost } from "../world/destinations.ts";
import { endpointsByHost } from "../world/services.ts";
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
      addresses: read.ask(addressesByHost, service.host),
    }));
    return new Map([[NAME_TABLE, encode(read, NameTable, NAME_TABLE, nameTable(named))]]);
  },
  equal: sameMap,
});

/** Addresses a service's name answers with: its VIPs, for headless services those of its ready endpoints. */
const addressesByHost = defineQuery<string, NamedService["addresses"]>({
  name: "addresses",
  compute: (read, host) => addressesOf(read, host),
  equal: (before, after) => before.join() === after.join(),
});

function addressesOf(read: Read, host: string): readonly string[] {
  const destination = read.ask(destinationByHost, host);
  if (destination === undefined) return [];
  const { service, backend } = destination;
  const vips = (service.addresses.length > 0 ? service : backend).addresses.filter((address) => !address.includes("/"));
  if (vips.length > 0) return vips;
  if (!backend.headless) return [];
  const ready = read.ask(endpointsByHost, backend.host).filter((endpoint) => endpoint.ready);
  return [...new Set(ready.map((endpoint) => endpoint.address))].sort();
}
