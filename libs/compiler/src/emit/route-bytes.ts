import { typeUrl } from "@lateen/proto";
import { RouteConfiguration } from "@lateen/proto/envoy/config/route/v3/route";
import { VirtualHost } from "@lateen/proto/envoy/config/route/v3/route_components";
import type { EncodedResource } from "../resource.ts";

/** A virtual host, encoded, with what putting a table together needs to know of it. */
export interface EncodedHost {
  /** Name and domains only. */
  readonly shell: VirtualHost;
  readonly bytes: Uint8Array;
}

/** Encodes a virtual host for {@link routeBytes}. */
export function encodeHost(host: VirtualHost): EncodedHost {
  const shell = VirtualHost.fromPartial({ name: host.name, domains: host.domains });
  return { shell, bytes: VirtualHost.encode(host).finish() };
}

/** The virtual host itself. */
export function decodeHost(host: EncodedHost): VirtualHost {
  return VirtualHost.decode(host.bytes);
}

/** Whether both encode alike. */
export function sameHost(before: EncodedHost | undefined, after: EncodedHost | undefined): boolean {
  if (before === undefined || after === undefined) return before === after;
  return Buffer.compare(before.bytes, after.bytes) === 0;
}

/**
 * A route configuration put together from virtual hosts that are encoded already: of a table with a thousand hosts, a change of one
 * encodes one.
 * @param config may hold shells in place of `hosts`, with all their domains or with fewer.
 */
export function routeBytes(config: RouteConfiguration, hosts: readonly EncodedHost[]): EncodedResource["any"] {
  const byName = new Map(hosts.map((host) => [host.shell.name, host]));
  // Fields of a message may come in any order.
  const parts: Uint8Array[] = [RouteConfiguration.encode({ ...config, virtualHosts: [] }).finish()];
  for (const host of config.virtualHosts) {
    const encoded = byName.get(host.name);
    const bytes =
      encoded === undefined
        ? VirtualHost.encode(host).finish()
        : host.domains.length === encoded.shell.domains.length
          ? encoded.bytes
          : VirtualHost.encode({ ...decodeHost(encoded), domains: host.domains }).finish();
    parts.push(fieldHead(bytes.length), bytes);
  }
  return { typeUrl: typeUrl(RouteConfiguration), value: Buffer.concat(parts) };
}

/** Tag of `RouteConfiguration.virtual_hosts`: field 2, length-delimited. */
const VIRTUAL_HOSTS_TAG = 0x12;

function fieldHead(length: number): Uint8Array {
  const head = [VIRTUAL_HOSTS_TAG];
  let rest = length;
  for (; rest > 127; rest >>>= 7) head.push((rest & 127) | 128);
  head.push(rest);
  return Uint8Array.from(head);
}
