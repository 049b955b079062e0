import { Resolver as DnsClient, promises as dns } from "node:dns";
import { readFile, stat } from "node:fs/promises";
import { isIPv6 } from "node:net";
import { Gate } from "./gate.ts";
import { candidates, parseHosts, parseSearchRules } from "./name-files.ts";
import type { DnsAnswer, DnsFamily, DnsQuestion, Lookup } from "./resolver.ts";

/** A server is waited for so long, and asked so often. */
const TIMEOUT_MS = 2000;
const TRIES = 2;
/** Questions to the DNS under way at a time, and those that wait. */
const DNS_WIDTH = 32;
const MAX_WAITING = 4096;
/** The system's own way blocks a thread of a small pool for as long as it takes: others need some, too. */
const SYSTEM_WIDTH = 2;
/** Codes that mean: there is no such name, or it has no such address. */
const NO_ADDRESS: ReadonlySet<string> = new Set(["ENOTFOUND", "ENODATA"]);

/** Files and ways of the system that tests replace. */
export interface SystemNamesOptions {
  readonly hostsFile?: string;
  readonly resolverFile?: string;
  /** Servers instead of those the resolver file names. */
  readonly servers?: readonly string[];
  /** The system's own resolution. Default `getaddrinfo`. */
  readonly system?: (host: string, family: 4 | 6) => Promise<readonly string[]>;
}

const DEFAULTS: Required<SystemNamesOptions> = {
  hostsFile: "/etc/hosts",
  resolverFile: "/etc/resolv.conf",
  servers: [],
  system: getAddressInfo,
};

/**
 * The name service of this machine. Who wants the time an answer holds (`ttl`) gets: the hosts file (no time), else the DNS
 * with the search domains of `resolv.conf`, else — where that has no answer — the system's own way, which knows other sources
 * and tells no time. Everybody else gets the system's own way. Named servers are asked alone, after the hosts file.
 */
export class SystemNames {
  readonly #options: Required<SystemNamesOptions>;
  readonly #hosts: WatchedFile<ReadonlyMap<string, readonly string[]>>;
  readonly #rules: WatchedFile<ReturnType<typeof parseSearchRules>>;
  readonly #questions = new Gate(DNS_WIDTH, MAX_WAITING);
  readonly #blocking = new Gate(SYSTEM_WIDTH, MAX_WAITING);

  constructor(options: SystemNamesOptions = {}) {
    this.#options = { ...DEFAULTS, ...options };
    this.#hosts = new WatchedFile(this.#options.hostsFile, parseHosts);
    this.#rules = new WatchedFile(this.#options.resolverFile, parseSearchRules);
  }

  readonly lookup: Lookup = async (question) => {
    if (question.ttl !== true && question.servers === undefined) return await this.#ofSystem(question);
    const hosts = await this.#hosts.read();
    const written = hosts.get(question.host.toLowerCase());
    if (written !== undefined) {
      return {
        addresses: pickFamily(question.family, (v) => written.filter((ip) => isIPv6(ip) === (v === 6))),
        ttlMs: undefined,
      };
    }
    try {
      const answer = await this.#ofDns(question);
      if (answer.addresses.length > 0 || question.servers !== undefined) return answer;
    } catch (error) {
      if (question.servers !== undefined) throw error;
    }
    return await this.#ofSystem(question);
  };

  async #ofSystem({ host, family }: DnsQuestion): Promise<DnsAnswer> {
    const ask = (version: 4 | 6) =>
      this.#blocking.run(() => unlessMissing(() => this.#options.system(host, version), []));
    const addresses = await gather(family, ask, (list) => list.length > 0);
    return { addresses: addresses.flat(), ttlMs: undefined };
  }

  async #ofDns(question: DnsQuestion): Promise<DnsAnswer> {
    const servers = question.servers ?? this.#options.servers;
    const rules = await this.#rules.read();
    const names = question.exact === true ? [question.host] : candidates(question.host, rules);
    for (const name of names) {
      const ask = (version: 4 | 6) => this.#questions.run(() => askDns(name, version, servers));
      const records = (await gather(question.family, ask, (list) => list.length > 0)).flat();
      if (records.length === 0) continue;
      const ttl = Math.min(...records.map((record) => record.ttl));
      return { addresses: records.map(({ address }) => address), ttlMs: ttl * 1000 };
    }
    return { addresses: [], ttlMs: undefined };
  }
}

/** One question under its own id and port: a client is not shared, so that slow answers do not hold up others. */
async function askDns(name: string, version: 4 | 6, servers: readonly string[]) {
  const client = new DnsClient({ timeout: TIMEOUT_MS, tries: TRIES });
  if (servers.length > 0) client.setServers(servers);
  return await unlessMissing(
    () =>
      new Promise<readonly { readonly address: string; readonly ttl: number }[]>((resolve, reject) => {
        const done = (error: NodeJS.ErrnoException | null, records: readonly { address: string; ttl: number }[]) =>
          error === null ? resolve(records) : reject(error);
        if (version === 4) client.resolve4(name, { ttl: true }, done);
        else client.resolve6(name, { ttl: true }, done);
      }),
    [],
  );
}

/** The families that are wanted: each one's answer, or the first one's that has any. */
async function gather<T>(
  family: DnsFamily,
  ask: (version: 4 | 6) => Promise<T>,
  some: (answer: T) => boolean,
): Promise<readonly T[]> {
  switch (family) {
    case "v4only":
      return [await ask(4)];
    case "v6only":
      return [await ask(6)];
    case "all":
      return await bothOf(ask);
    case "auto":
    case "v4preferred": {
      const order: readonly (4 | 6)[] = family === "auto" ? [6, 4] : [4, 6];
      const first = await ask(order[0] ?? 4).catch(() => undefined);
      return first !== undefined && some(first) ? [first] : [await ask(order[1] ?? 4)];
    }
  }
}

/** What one of them answers is enough. */
async function bothOf<T>(ask: (version: 4 | 6) => Promise<T>): Promise<readonly T[]> {
  const both = await Promise.allSettled([ask(4), ask(6)]);
  const answered = both.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
  if (answered.length > 0) return answered;
  throw both.find((one) => one.status === "rejected")?.reason ?? new Error("no answer");
}

function pickFamily(family: DnsFamily, of: (version: 4 | 6) => readonly string[]): readonly string[] {
  switch (family) {
    case "v4only":
      return of(4);
    case "v6only":
      return of(6);
    case "all":
      return [...of(4), ...of(6)];
    case "auto":
      return of(6).length > 0 ? of(6) : of(4);
    case "v4preferred":
      return of(4).length > 0 ? of(4) : of(6);
  }
}

async function unlessMissing<T>(work: () => Promise<T>, none: T): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (NO_ADDRESS.has((error as NodeJS.ErrnoException).code ?? "")) return none;
    throw error;
  }
}

async function getAddressInfo(host: string, family: 4 | 6): Promise<readonly string[]> {
  return (await dns.lookup(host, { all: true, family })).map(({ address }) => address);
}

/** A file's meaning, read again when it changed. One that cannot be read is empty. */
class WatchedFile<T> {
  readonly #path: string;
  readonly #parse: (text: string) => T;
  #stamp = "";
  #value: T;

  constructor(path: string, parse: (text: string) => T) {
    this.#path = path;
    this.#parse = parse;
    this.#value = parse("");
  }

  async read(): Promise<T> {
    try {
      const { mtimeMs, ino, size } = await stat(this.#path);
      const stamp = `${mtimeMs} ${ino} ${size}`;
      if (stamp === this.#stamp) return this.#value;
      this.#value = this.#parse(await readFile(this.#path, "utf8"));
      this.#stamp = stamp;
    } catch {
      this.#stamp = "";
      this.#value = this.#parse("");
    }
    return this.#value;
  }
}
