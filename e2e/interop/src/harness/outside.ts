import { startNames } from "./dns.ts";
import { startEcho } from "./echo.ts";
import type { Upstream } from "./upstream.ts";

/** Where a client goes that looks for what nobody knows. RFC 5737. */
export const ELSEWHERE = "192.0.2.1";
/** RFC 2544: what names outside of the mesh stand for. */
const named = (index: number) => `198.18.${index >> 8}.${(index & 0xff) + 1}`;

/** Ranges that `run.ts` has on this machine. */
const ADDRESS = /\b(?:192\.0\.2|198\.51\.100|10\.(?:0|9)\.\d+)\.\d+\b(?!\/)/g;
const NAME = /\b[a-z0-9][a-z0-9.-]*\.(?:example(?:\.(?:com|net|org))?|example\.(?:com|net|org))\b/g;
const PORT = /\b(?:number|port|targetPort|http|tcp|tls|https|\d+):? *"?(\d{2,5})\b/g;

/** The world outside of a mesh: addresses and names that a text mentions, with an application at every port that it mentions. */
export class Outside {
  readonly #names = new Map<string, string>();
  #dns: Upstream | undefined;
  #applications: Upstream[] = [];

  readonly #alsoAt: (address: string) => readonly string[];

  readonly #loopbacks: readonly string[];

  private constructor(alsoAt: (address: string) => readonly string[], loopbacks: readonly string[]) {
    this.#alsoAt = alsoAt;
    this.#loopbacks = loopbacks;
  }

  /**
   * @param alsoAt other addresses of what is at this one
   * @param loopbacks where else that is which is at the loopback address: our proxies call applications at their pod's
   */
  static async start(alsoAt: (address: string) => readonly string[], loopbacks: readonly string[]): Promise<Outside> {
    const outside = new Outside(alsoAt, loopbacks);
    outside.#dns = await startNames((name) => outside.#names.get(name));
    return outside;
  }

  /** Takes the place of what was there. */
  async become(text: string): Promise<void> {
    await this.#clear();
    const names = [...new Set(text.match(NAME) ?? [])];
    for (const name of names) if (!this.#names.has(name)) this.#names.set(name, named(this.#names.size));
    const places = new Map([
      ...[...new Set([ELSEWHERE, ...(text.match(ADDRESS) ?? [])])].map((address) => [address, address] as const),
      ...names.map((name) => [this.#names.get(name) ?? "", name] as const),
    ]);
    const ports = [...new Set([80, 443, 8080, ...[...text.matchAll(PORT)].map(([, port]) => Number(port))])];
    const wanted = [...places].flatMap(([address, name]) =>
      [address, ...this.#alsoAt(address)].flatMap((at) =>
        ports.filter((port) => port < 65_536).map((port) => ({ address: at, name, port })),
      ),
    );
    // What a Sidecar or MeshConfig says is at the loopback address.
    for (const [, port] of new Map(
      [...text.matchAll(/\b127\.0\.0\.1:(\d+)/g)].map((found) => [found[1], found]),
    ).values()) {
      for (const address of ["127.0.0.1", ...this.#loopbacks])
        wanted.push({ address, name: "loopback", port: Number(port) });
    }
    this.#applications = await Promise.all(
      wanted.map(({ address, name, port }) => startEcho(`${name}:${port}`, address, port)),
    );
  }

  async #clear(): Promise<void> {
    await Promise.all(this.#applications.splice(0).map((one) => one.close()));
  }

  async stop(): Promise<void> {
    await this.#clear();
    await this.#dns?.close();
  }
}
