import type { Exchange, FilterContext } from "@lateen/proxy";
import {
  compileHeaderMatch,
  compileQueryMatch,
  hashName,
  type RateLimitActionSpec,
  type RateLimitSpec,
  utf8Text,
} from "@lateen/traffic";

/** What a request is counted by: all entries in their order. */
export type Descriptor = readonly DescriptorEntry[];
export interface DescriptorEntry {
  readonly key: string;
  readonly value: string;
}

/** What an action adds; undefined: the descriptor does not apply; null: nothing, and the others still count. */
type Entry = (exchange: Exchange, context: FilterContext) => DescriptorEntry | undefined | null;

/** How limits of a route and of its virtual host go together. */
export type HostLimits = "override" | "include" | "ignore";

interface CompiledLimit {
  readonly stage: number;
  readonly entries: readonly Entry[];
}

/** Finds what requests are counted by. Actions are compiled once for each list of limits. */
export class Descriptors {
  readonly #context: FilterContext;
  readonly #stage: number;
  readonly #compiled = new WeakMap<readonly RateLimitSpec[], readonly CompiledLimit[]>();

  constructor(context: FilterContext, stage: number) {
    this.#context = context;
    this.#stage = stage;
  }

  /** Of the request's route and virtual host, as they say and as `hostLimits` does. */
  ofRoute(exchange: Exchange, hostLimits: HostLimits): readonly Descriptor[] {
    const { route } = exchange;
    const action = route?.route.action;
    if (route === undefined || action?.kind !== "forward") return NONE;
    const own = action.rateLimits ?? NO_LIMITS;
    const ofHost = route.virtualHost.spec.rateLimits ?? NO_LIMITS;
    if (own.length === 0 && ofHost.length === 0) return NONE;
    const found = this.of(exchange, own);
    const include =
      action.includeVirtualHostRateLimits === true ||
      hostLimits === "include" ||
      (hostLimits === "override" && own.length === 0);
    return include ? [...found, ...this.of(exchange, ofHost)] : found;
  }

  of(exchange: Exchange, limits: readonly RateLimitSpec[]): readonly Descriptor[] {
    const found: Descriptor[] = [];
    for (const { stage, entries } of this.#compile(limits)) {
      if (stage !== this.#stage) continue;
      const descriptor = this.#descriptor(exchange, entries);
      if (descriptor.length > 0) found.push(descriptor);
    }
    return found;
  }

  #descriptor(exchange: Exchange, entries: readonly Entry[]): Descriptor {
    const descriptor: DescriptorEntry[] = [];
    for (const make of entries) {
      const entry = make(exchange, this.#context);
      if (entry === undefined) return [];
      if (entry !== null) descriptor.push(entry);
    }
    return descriptor;
  }

  #compile(limits: readonly RateLimitSpec[]): readonly CompiledLimit[] {
    let known = this.#compiled.get(limits);
    if (known === undefined) {
      known = limits.map(({ stage, actions }) => ({ stage, entries: actions.map(entryOf) }));
      this.#compiled.set(limits, known);
    }
    return known;
  }
}

const NONE: readonly Descriptor[] = [];
const NO_LIMITS: readonly RateLimitSpec[] = [];

/** @see envoy.config.route.v3.RateLimit.Action */
function entryOf(action: RateLimitActionSpec): Entry {
  switch (action.kind) {
    case "genericKey": {
      const entry = { key: action.key, value: action.value };
      return () => entry;
    }
    case "sourceCluster":
      return (_, { self }) => ({ key: "source_cluster", value: ownCluster(self) });
    case "destinationCluster":
      return ({ summary }) => entry("destination_cluster", summary.cluster?.name);
    case "remoteAddress":
      return ({ peer }) => entry("remote_address", peer.remoteAddress);
    case "maskedRemoteAddress":
      return ({ peer }) => {
        const v6 = peer.remoteAddress.includes(":");
        const bits = v6 ? action.v6Bits : action.v4Bits;
        return entry("masked_remote_address", `${masked(peer.remoteAddress, bits)}/${bits}`);
      };
    case "requestHeader": {
      const read = headerReader(action.header);
      return (exchange) => entry(action.key, read(exchange)) ?? (action.skipIfAbsent ? null : undefined);
    }
    case "headerMatch": {
      const matches = action.headers.map(compileHeaderMatch);
      const made = { key: action.key, value: action.value };
      return ({ request, scheme }) =>
        matches.every((match) => match(request, scheme)) === action.expect ? made : undefined;
    }
    case "queryMatch": {
      const matches = action.query.map(compileQueryMatch);
      const made = { key: action.key, value: action.value };
      return ({ request }) => (matches.every((match) => match(request)) === action.expect ? made : undefined);
    }
    case "metadata":
      return (exchange) => {
        const { source, namespace, path, key, fallback, skipIfAbsent } = action;
        const all =
          source === "dynamic" ? exchange.metadata(namespace) : exchange.route?.route.spec.metadata?.[namespace];
        const value = path.reduce<unknown>((at, step) => (isRecord(at) ? at[step] : undefined), all);
        const text = typeof value === "string" && value !== "" ? value : fallback;
        return entry(key, text) ?? (skipIfAbsent ? null : undefined);
      };
  }
}

/** Envoy's `--service-cluster`: `app.namespace` in a mesh. */
export function ownCluster({ nodeCluster, canonicalService, namespace }: FilterContext["self"]): string {
  return nodeCluster ?? `${canonicalService}.${namespace}`;
}

function entry(key: string, value: string | undefined): DescriptorEntry | undefined {
  return value === undefined || value === "" ? undefined : { key, value };
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}

/** First value of a header or pseudo-header of the request. */
export function headerReader(name: string): (exchange: Exchange) => string | undefined {
  switch (name) {
    case ":path":
      return ({ request }) => request.text(request.pathStart, request.pathEnd);
    case ":method":
      return ({ request }) => request.text(request.methodStart, request.methodEnd);
    case ":authority":
    case "host":
      return ({ request }) => request.text(request.authorityStart, request.authorityEnd);
    case ":scheme":
      return ({ scheme }) => scheme;
  }
  const bytes = new TextEncoder().encode(name);
  const hash = hashName(name);
  return ({ request }) => {
    const index = request.find(bytes, hash);
    if (index < 0) return undefined;
    return utf8Text(request.bytes, request.offsets[index * 4 + 2] ?? 0, request.offsets[index * 4 + 3] ?? 0);
  };
}

/** An address whose bits behind `bits` are 0. */
function masked(address: string, bits: number): string {
  if (!address.includes(":")) {
    const value = address.split(".").reduce((sum, part) => (sum << 8) | Number(part), 0);
    const kept = bits === 0 ? 0 : (value & (-1 << (32 - bits))) >>> 0;
    return [24, 16, 8, 0].map((shift) => (kept >>> shift) & 255).join(".");
  }
  return compressed(groupsOf(address).map((group, i) => group & maskOf(bits - i * 16)));
}

function maskOf(bits: number): number {
  return bits >= 16 ? 0xffff : bits <= 0 ? 0 : (0xffff << (16 - bits)) & 0xffff;
}

/** The eight groups of an IPv6 address. */
function groupsOf(address: string): readonly number[] {
  const [head = "", tail] = address.split("::", 2);
  const parse = (part: string) => (part === "" ? [] : part.split(":").map((group) => Number.parseInt(group, 16)));
  const [before, after] = [parse(head), parse(tail ?? "")];
  return tail === undefined
    ? before
    : [...before, ...new Array<number>(8 - before.length - after.length).fill(0), ...after];
}

function compressed(groups: readonly number[]): string {
  const text = groups.map((group) => group.toString(16)).join(":");
  const longest = [...text.matchAll(/(?:^|:)0(?::0)+(?=:|$)/g)]
    .map((match) => match[0])
    .sort((a, b) => b.length - a.length)[0];
  if (longest === undefined) return text;
  const at = text.indexOf(longest);
  return `${text.slice(0, at)}::${text.slice(at + longest.length).replace(/^:/, "")}`;
}
