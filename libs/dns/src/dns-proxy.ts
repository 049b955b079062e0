import { createSocket, type Socket as DatagramSocket } from "node:dgram";
import { createServer, isIP, type Server, type Socket } from "node:net";
import type { Clock, Logger, Random, Scope } from "@lateen/kernel";
import { messageOf } from "@lateen/kernel";
import { FrameSplitter, framed } from "./frames.ts";
import {
  type Answer,
  datagramLimit,
  encodeAnswer,
  encodeRefusal,
  parseQuery,
  type Query,
  RecordType,
  ResponseCode,
} from "./message.ts";
import { lookUp, type NameRecords, type NameRules, ofFamily } from "./names.ts";
import { type DnsServer, Forwarder } from "./upstream.ts";

export interface DnsProxyOptions {
  /** Loopback addresses to listen on; one that the machine does not have is left out. */
  readonly addresses: readonly string[];
  /** 0 takes a free one. */
  readonly port: number;
  /** The mesh's names of now. */
  readonly records: () => NameRecords;
  readonly rules: NameRules;
  readonly servers: readonly DnsServer[];
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** See {@link Forwarder}. Default 2 s. */
  readonly timeoutMs?: number;
}

/** How long answers may be kept: addresses of headless services change with their pods. */
const TTL_SECONDS = 30;
const LARGEST_QUERY_BYTES = 4096;
const LARGEST_MESSAGE_BYTES = 65_535;
const MAX_TCP_CONNECTIONS = 64;
const MAX_TCP_PENDING = 16;
const TCP_IDLE_MS = 10_000;

/** What was asked, for the agent's statistics. */
export interface DnsCounts {
  requests: number;
  /** Asked of other servers. */
  forwarded: number;
  failures: number;
}

/**
 * Answers for the names of the mesh and passes other questions on, over UDP and TCP. Nothing it is sent makes it fail or grow: sizes,
 * connections and questions under way are bounded, and what is no query gets no answer.
 * @see istio.networking.nds.v1.NameTable, RFC 1035, RFC 6891, RFC 7766
 */
export class DnsProxy {
  readonly counts: DnsCounts = { requests: 0, forwarded: 0, failures: 0 };
  readonly #options: DnsProxyOptions;
  readonly #forwarder: Forwarder;
  readonly #sockets = new Set<Socket>();
  #port = 0;

  private constructor(options: DnsProxyOptions) {
    this.#options = options;
    const { servers, clock, timeoutMs } = options;
    this.#forwarder = new Forwarder({ servers, clock, ...(timeoutMs === undefined ? {} : { timeoutMs }) });
  }

  /** Listens for the life of the scope. @throws Error when no address can be bound. */
  static async start(scope: Scope, options: DnsProxyOptions): Promise<DnsProxy> {
    const proxy = new DnsProxy(options);
    let failure: unknown;
    let open = 0;
    for (const address of options.addresses) {
      try {
        await proxy.#listen(scope, address);
        open++;
      } catch (error) {
        failure = error;
        options.logger.warn({ event: "dns.not_listening", address, reason: messageOf(error) });
      }
    }
    if (open === 0) throw failure;
    options.logger.info({ event: "dns.listening", port: proxy.#port, servers: options.servers });
    return proxy;
  }

  get port(): number {
    return this.#port;
  }

  async #listen(scope: Scope, address: string): Promise<void> {
    const server = createServer((socket) => this.#serve(socket));
    // `::1` must not take `127.0.0.1` as well, nor fail for it.
    await settled(server, () =>
      server.listen({ host: address, port: this.#port || this.#options.port, ipv6Only: isIP(address) === 6 }),
    );
    const bound = server.address();
    const port = typeof bound === "object" && bound !== null ? bound.port : this.#options.port;
    server.maxConnections = MAX_TCP_CONNECTIONS;
    server.on("error", () => {});
    const datagrams = createSocket({ type: isIP(address) === 6 ? "udp6" : "udp4", ipv6Only: isIP(address) === 6 });
    try {
      await settled(datagrams, () => datagrams.bind(port, address));
    } catch (error) {
      server.close();
      throw error;
    }
    this.#port = port;
    datagrams.on("error", () => {});
    datagrams.on("message", (message, from) => {
      void this.#answer(message, "udp").then((answer) => {
        if (answer !== undefined) reply(datagrams, answer, from);
      });
    });
    scope.defer(() => this.#close(server, datagrams));
  }

  #close(server: Server, datagrams: DatagramSocket): void {
    server.close();
    datagrams.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #serve(socket: Socket): void {
    let pending = 0;
    this.#sockets.add(socket);
    socket.setTimeout(TCP_IDLE_MS, () => socket.destroy());
    socket.on("error", () => socket.destroy());
    socket.on("close", () => this.#sockets.delete(socket));
    const frames = new FrameSplitter(LARGEST_QUERY_BYTES, (message) => {
      if (++pending > MAX_TCP_PENDING) socket.destroy();
      if (socket.destroyed) return;
      void this.#answer(Buffer.from(message), "tcp").then((answer) => {
        pending--;
        if (socket.destroyed) return;
        if (answer === undefined) socket.destroy();
        else socket.write(framed(answer));
      });
    });
    socket.on("data", (bytes: Buffer) => {
      if (!frames.push(bytes)) socket.destroy();
    });
    socket.on("end", () => socket.end());
  }

  /** The answer to a message; undefined: none. Never rejects. */
  async #answer(message: Buffer, transport: "udp" | "tcp"): Promise<Buffer | undefined> {
    if (message.length > LARGEST_QUERY_BYTES) return undefined;
    const parsed = parseQuery(message);
    if (parsed.kind === "nonsense") return undefined;
    this.counts.requests++;
    if (parsed.kind === "refused") return encodeRefusal(parsed.id, parsed.code);
    const { query } = parsed;
    const limit = transport === "udp" ? datagramLimit(query) : LARGEST_MESSAGE_BYTES;
    const own = this.#own(query);
    if (own !== undefined) return encodeAnswer(query, own, limit);
    this.counts.forwarded++;
    const answer = await this.#forwarder.ask(message, query.question, transport).catch(() => undefined);
    if (answer !== undefined) return answer;
    this.counts.failures++;
    return encodeAnswer(query, { code: ResponseCode.serverFailure, addresses: [], ttl: 0 }, limit);
  }

  /** What the mesh itself answers; undefined: somebody else has to. */
  #own(query: Query): Answer | undefined {
    if (query.edns !== undefined && query.edns.version !== 0) return nothing(ResponseCode.badVersion);
    if (!query.isInternet) return undefined;
    const known = lookUp(query.name, this.#options.records(), this.#options.rules);
    if (known.kind === "unknown") return undefined;
    if (known.kind === "nonexistent") return nothing(ResponseCode.nameError);
    const alias = known.alias === undefined ? {} : { alias: known.alias };
    // Of other types a name of the mesh has none; asking elsewhere would say that it does not exist.
    const isAddress = ([RecordType.a, RecordType.aaaa, RecordType.any] as readonly number[]).includes(query.type);
    const found = isAddress ? ofFamily(known.addresses, query.type === RecordType.aaaa ? 6 : 4) : [];
    return { code: ResponseCode.ok, ...alias, addresses: this.#shuffled(found), ttl: TTL_SECONDS };
  }

  /** Programs take the first: over many questions each gets its share. */
  #shuffled<T>(list: readonly T[]): readonly T[] {
    if (list.length < 2) return list;
    const start = Math.floor(this.#options.random.next() * list.length);
    return [...list.slice(start), ...list.slice(0, start)];
  }
}

function nothing(code: ResponseCode): Answer {
  return { code, addresses: [], ttl: TTL_SECONDS };
}

function reply(socket: DatagramSocket, answer: Buffer, to: { readonly port: number; readonly address: string }): void {
  try {
    // An answer that cannot be sent is a lost datagram, which clients know how to deal with.
    socket.send(answer, to.port, to.address, () => {});
  } catch {
    // Closed meanwhile.
  }
}

/** Resolves when it listens. */
function settled(socket: Server | DatagramSocket, begin: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once("error", reject);
    socket.once("listening", () => {
      socket.removeListener("error", reject);
      resolve();
    });
    begin();
  });
}
