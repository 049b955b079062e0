import type { Exchange, FilterContext } from "@lateen/proxy";
import { comparableAudience, JWT_AUTHN, type JwtProviderSpec } from "./config.ts";
import { failures } from "./failures.ts";
import { type KeySet, keySet } from "./keys.ts";
import { type Finder, type Found, tokenFinder, withoutParam } from "./locations.ts";
import { RemoteKeys, remoteKeys } from "./remote-keys.ts";
import { parseToken, type Token } from "./token.ts";

/** Tokens whose signature was found good, at most so many of at most so many characters; the oldest goes first. */
const KEPT_TOKENS = 1000;
const KEPT_LENGTH = 4096;

/** What is told about an allowed request besides its headers. */
export const FULL = "too many headers";

/** Verifies the tokens of one provider, and tells the request what they say. */
export class Provider {
  readonly spec: JwtProviderSpec;
  readonly #find: Finder;
  readonly #keys: KeySet | RemoteKeys;
  #version = 0;
  readonly #good = new Map<string, Token>();

  constructor(spec: JwtProviderSpec, context: FilterContext) {
    this.spec = spec;
    this.#find = tokenFinder(spec);
    this.#keys = typeof spec.jwks === "string" ? keySet(spec.jwks) : remoteKeys(spec.jwks, context);
  }

  /** Keys to fetch before the request can be judged; undefined: none. Tokens that fail without them need none. */
  missingKeys(exchange: Exchange, nowMs: number, audiences = this.spec.audiences): RemoteKeys | undefined {
    const keys = this.#keys;
    if (!(keys instanceof RemoteKeys) || keys.current !== undefined) return undefined;
    const open = this.tokens(exchange).some(({ text }) => {
      const parsed = parseToken(text);
      return parsed.ok && this.#judge(parsed.value, nowMs / 1000, audiences) === undefined;
    });
    return open ? keys : undefined;
  }

  /** The keys that hold now. Signatures found good by others are forgotten. */
  #currentKeys(): KeySet | undefined {
    const keys = this.#keys;
    if (!(keys instanceof RemoteKeys)) return keys;
    if (this.#version !== keys.version) this.#good.clear();
    this.#version = keys.version;
    return keys.current;
  }

  tokens(exchange: Exchange): readonly Found[] {
    return this.#find(exchange);
  }

  /** Headers that only a verified token may set: what a client wrote there is taken out. */
  strip({ requestEdits }: Exchange): void {
    const { payloadHeader, claimHeaders } = this.spec;
    if (payloadHeader !== "") requestEdits.remove(payloadHeader);
    for (const { header } of claimHeaders) requestEdits.remove(header);
  }

  /** Why the request is refused: every token it carries for this provider must be good. Undefined: it is not. */
  check(exchange: Exchange, nowMs: number, audiences = this.spec.audiences): string | undefined {
    const found = this.tokens(exchange);
    if (found.length === 0) return failures.missing;
    for (const one of found) {
      const problem = this.#checkOne(exchange, one, nowMs / 1000, audiences);
      if (problem !== undefined) return problem;
    }
    return undefined;
  }

  #checkOne(exchange: Exchange, found: Found, now: number, audiences: readonly string[]): string | undefined {
    const { text } = found;
    const keys = this.#currentKeys();
    let token = keys === undefined ? undefined : this.#good.get(text);
    const known = token !== undefined;
    if (token === undefined) {
      const parsed = parseToken(text);
      if (!parsed.ok) return parsed.error;
      token = parsed.value;
    }
    const problem =
      this.#judge(token, now, audiences) ??
      (known ? undefined : keys === undefined ? failures.fetch : keys.check(token));
    if (problem !== undefined) {
      if (known) this.#good.delete(text);
      return problem;
    }
    if (!known) this.#keep(text, token);
    return this.#tell(exchange, token, found);
  }

  #judge(token: Token, now: number, audiences: readonly string[]): string | undefined {
    const { issuer, clockSkewSeconds: skew, requireExpiration, maxLifetimeSeconds } = this.spec;
    if (issuer !== "" && token.issuer !== issuer) return failures.unknownIssuer;
    if (now + skew < token.notBefore) return failures.notYetValid;
    if (token.expires > 0 && now > token.expires + skew) return failures.expired;
    if (requireExpiration && token.expires === 0) return failures.noExpiration;
    if (maxLifetimeSeconds > 0) {
      if (token.expires === 0) return failures.noExpiration;
      if (token.expires - (token.issuedAt || Math.floor(now)) > maxLifetimeSeconds) return failures.lifetime;
    }
    const meant = audiences.length === 0 || token.audiences.some((one) => audiences.includes(one));
    return meant ? undefined : failures.audience;
  }

  #keep(text: string, token: Token): void {
    if (text.length > KEPT_LENGTH) return;
    if (this.#good.size >= KEPT_TOKENS) {
      const oldest = this.#good.keys().next().value;
      if (oldest !== undefined) this.#good.delete(oldest);
    }
    this.#good.set(text, token);
  }

  #tell(exchange: Exchange, token: Token, found: Found): string | undefined {
    const { spec } = this;
    const { requestEdits } = exchange;
    let room = true;
    const publish = (name: string, value: string) => {
      room = requestEdits.publish(name, value) && room;
    };
    for (const { header, claim } of spec.claimHeaders) {
      const value = claimText(claimAt(token.payload, claim));
      if (value !== undefined) publish(header, value);
    }
    if (spec.payloadHeader !== "") {
      const { payloadText } = token;
      const padding = spec.padPayloadHeader ? "=".repeat((4 - (payloadText.length % 4)) % 4) : "";
      publish(spec.payloadHeader, payloadText + padding);
    }
    if (!spec.forward) {
      if (found.header !== undefined) requestEdits.remove(found.header);
      const { request } = exchange;
      if (found.param !== undefined) {
        requestEdits.path(withoutParam(request.text(request.pathStart, request.pathEnd), found.param));
      }
    }
    const values: Record<string, unknown> = {};
    if (spec.payloadKey !== "") values[spec.payloadKey] = this.#normalised(token.payload);
    if (spec.headerKey !== "") values[spec.headerKey] = token.header;
    if (spec.payloadKey !== "" || spec.headerKey !== "") exchange.setMetadata(JWT_AUTHN, values);
    if (spec.clearRouteCache) exchange.rematch();
    return room ? undefined : FULL;
  }

  #normalised(payload: Token["payload"]): Token["payload"] {
    const lists = this.spec.spaceDelimitedClaims.flatMap((claim) => {
      const value = payload[claim];
      return typeof value === "string" ? [[claim, value.split(" ").filter((part) => part !== "")] as const] : [];
    });
    return lists.length === 0 ? payload : { ...payload, ...Object.fromEntries(lists) };
  }
}

/** A claim by its name, or by names joined with dots. */
function claimAt(payload: Token["payload"], name: string): unknown {
  let value: unknown = payload;
  for (const part of name.split(".")) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, part)) return undefined;
    value = (value as Readonly<Record<string, unknown>>)[part];
  }
  return value;
}

/** Lists and objects go as JSON in base64url, others as they are. */
function claimText(value: unknown): string | undefined {
  switch (typeof value) {
    case "string":
      return value;
    case "number":
    case "boolean":
      return String(value);
    case "object":
      return value === null ? undefined : Buffer.from(JSON.stringify(value)).toString("base64");
    default:
      return undefined;
  }
}

/** What a provider of a requirement with audiences of its own asks. */
export function comparable(audiences: readonly string[] | undefined): readonly string[] | undefined {
  return audiences?.map(comparableAudience);
}
