import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import http from "node:http";
import type { AddressInfo } from "node:net";

interface Pair {
  readonly kid: string;
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

const made = (kid: string): Pair => ({ kid, ...generateKeyPairSync("ec", { namedCurve: "P-256" }) });
const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");

/** An issuer of tokens that publishes its keys, also as OpenID Connect Discovery has it. */
export class Issuer {
  readonly #server: http.Server;
  readonly #keys = new Map<string, Pair>();
  #published: readonly string[] = [];
  #broken = false;
  #asked = 0;

  private constructor() {
    this.#server = http.createServer(({ url }, response) => {
      this.#asked++;
      if (this.#broken) return void response.writeHead(503).end();
      const body = url === "/keys" ? { keys: this.#jwks() } : { issuer: this.url, jwks_uri: `${this.url}/keys` };
      response.setHeader("content-type", "application/json").end(JSON.stringify(body));
    });
  }

  static async start(): Promise<Issuer> {
    const issuer = new Issuer();
    issuer.publish("one");
    const { promise, resolve } = Promise.withResolvers<void>();
    issuer.#server.listen(0, "127.0.0.1", resolve);
    await promise;
    return issuer;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** How often somebody wanted to know something. */
  get asked(): number {
    return this.#asked;
  }

  /** Publishes keys of these names and no others. */
  publish(...kids: readonly string[]): void {
    for (const kid of kids) if (!this.#keys.has(kid)) this.#keys.set(kid, made(kid));
    this.#published = kids;
  }

  /** Whether it answers with failures only. */
  breakDown(broken: boolean): void {
    this.#broken = broken;
  }

  #jwks(): readonly object[] {
    return this.#published.map((kid) => ({
      ...this.#pair(kid).publicKey.export({ format: "jwk" }),
      kid,
      alg: "ES256",
    }));
  }

  #pair(kid: string): Pair {
    const known = this.#keys.get(kid) ?? made(kid);
    this.#keys.set(kid, known);
    return known;
  }

  /** A token by the key of a name, which need not be published. */
  token(kid: string, claims: Readonly<Record<string, unknown>> = {}): string {
    const header = { alg: "ES256", kid, typ: "JWT" };
    const text = `${part(header)}.${part({ iss: this.url, sub: "alice", aud: "bookinfo", exp: 4_102_444_800, ...claims })}`;
    const key = this.#pair(kid).privateKey;
    return `${text}.${sign("sha256", Buffer.from(text), { key, dsaEncoding: "ieee-p1363" }).toString("base64url")}`;
  }

  async stop(): Promise<void> {
    const closed = new Promise((done) => this.#server.close(done));
    this.#server.closeAllConnections();
    await closed;
  }
}
