import { isIP } from "node:net";
import type { CaptureSpec } from "../worker/protocol.ts";

/** Where a connection is to go, as if it had been sent there. */
export interface Destination {
  readonly address: string;
  readonly port: number;
}

export interface DestinationSources {
  /** Addresses of a mesh name; undefined: not a mesh name. */
  resolveName(host: string): readonly string[] | undefined;
  /** Other names. */
  resolve(host: string): Promise<readonly string[]>;
  readonly capture: CaptureSpec;
  readonly random: () => number;
}

/** Turns the authority a client asked for into the address its connection would have had without a proxy. */
export class Destinations {
  readonly #sources: DestinationSources;

  constructor(sources: DestinationSources) {
    this.#sources = sources;
  }

  /** The mesh's own names and IP addresses are known at once; others are asked for. Undefined: nobody knows the name. */
  find(host: string, port: number): Destination | undefined | Promise<Destination | undefined> {
    if (isIP(host) !== 0) return this.#meant(host, port);
    const name = normalised(host);
    const known = this.#sources.resolveName(name);
    if (known !== undefined) return this.#one(known, port);
    return this.#sources.resolve(name).then(
      (addresses) => this.#one(addresses, port),
      () => undefined,
    );
  }

  /** As {@link find} for names of the mesh only. */
  known(host: string, port: number): Destination | undefined {
    if (isIP(host) !== 0) return { address: host, port };
    return this.#one(this.#sources.resolveName(normalised(host)) ?? [], port);
  }

  /** Whether a name stands for several addresses, of which each connection gets one. */
  isSpread(host: string): boolean {
    return isIP(host) === 0 && (this.#sources.resolveName(normalised(host))?.length ?? 0) > 1;
  }

  #one(addresses: readonly string[], port: number): Destination | undefined {
    const address = addresses[Math.floor(this.#sources.random() * addresses.length)] ?? addresses[0];
    return address === undefined ? undefined : { address, port };
  }

  /** A local stand-in address of a service means the service: going through the stand-in again would be a detour. */
  #meant(address: string, port: number): Destination | undefined {
    const { capture } = this.#sources;
    if (capture.mode === "proxy-env") {
      const service = capture.services.find((entry) => entry.address === address && entry.port === port);
      if (service !== undefined) return this.known(service.host, service.destinationPort);
    }
    return { address, port };
  }
}

function normalised(host: string): string {
  const name = host.toLowerCase();
  return name.endsWith(".") ? name.slice(0, -1) : name;
}

/** Host and port of an authority (`a`, `a:80`, `[::1]:80`); undefined when the port is none. */
export function splitAuthority(
  authority: string,
  defaultPort: number,
): { readonly host: string; readonly port: number } | undefined {
  const colon = authority.lastIndexOf(":");
  const hasPort =
    colon >= 0 && !authority.endsWith("]") && (authority.startsWith("[") || authority.indexOf(":") === colon);
  const host = (hasPort ? authority.slice(0, colon) : authority).replace(/^\[(.*)\]$/, "$1");
  const port = hasPort && colon + 1 < authority.length ? Number(authority.slice(colon + 1)) : defaultPort;
  return host !== "" && Number.isInteger(port) && port > 0 && port < 65_536 ? { host, port } : undefined;
}
