import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { manualClock } from "@lateen/test-support";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type DnsFamily, type DnsQuestion, Resolver } from "./resolver.ts";
import { SystemNames } from "./system-names.ts";
import { NameServer } from "./testing/name-server.ts";

let server: NameServer;
let dir: string;
/** What getaddrinfo was asked. */
let system: string[];

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "names-"));
  system = [];
  server = await NameServer.start({
    "shop.test": { addresses: ["192.0.2.1", "192.0.2.2", "2001:db8::1"], ttl: 7 },
    "four.test": { addresses: ["192.0.2.4"], ttl: 9 },
    "api.inside.test": { addresses: ["192.0.2.9"], ttl: 3 },
    "ill.test": "failing",
  });
  await writeFile(join(dir, "hosts"), "# local\n192.0.2.50 box.test BOX2.test # a comment\n2001:db8::50 box.test\n");
  await writeFile(join(dir, "resolv.conf"), "search outside.test inside.test\noptions ndots:2\n");
});
afterEach(async () => {
  server.close();
  await rm(dir, { recursive: true });
});

const names = () =>
  new SystemNames({
    hostsFile: join(dir, "hosts"),
    resolverFile: join(dir, "resolv.conf"),
    servers: [server.address],
    system: async (host, family) => {
      system.push(`${host} ${family}`);
      if (host === "elsewhere" && family === 4) return ["192.0.2.77"];
      throw Object.assign(new Error(host), { code: host === "ill.test" ? "EAI_AGAIN" : "ENOTFOUND" });
    },
  });
const ask = (host: string, more: Partial<DnsQuestion> = {}) =>
  names().lookup({ host, family: "v4only", ttl: true, ...more });

describe("who wants to know how long an answer holds", () => {
  it.each<[DnsFamily, readonly string[]]>([
    ["v4only", ["192.0.2.1", "192.0.2.2"]],
    ["v6only", ["2001:db8::1"]],
    ["auto", ["2001:db8::1"]],
    ["v4preferred", ["192.0.2.1", "192.0.2.2"]],
    ["all", ["192.0.2.1", "192.0.2.2", "2001:db8::1"]],
  ])("gets the addresses of family %s from the DNS", async (family, addresses) => {
    const answer = await ask("shop.test.", { family });
    expect(new Set(answer.addresses)).toEqual(new Set(addresses));
    expect(answer.ttlMs).toBe(7000);
    expect(system).toEqual([]);
  });

  it("gets IPv4 where there is no IPv6", async () => {
    expect(await ask("four.test", { family: "auto", exact: true })).toEqual({ addresses: ["192.0.2.4"], ttlMs: 9000 });
  });

  it("is answered by the hosts file first, which names no time", async () => {
    expect(await ask("Box.test", { family: "auto" })).toEqual({ addresses: ["2001:db8::50"], ttlMs: undefined });
    expect(await ask("box2.test", { family: "auto" })).toEqual({ addresses: ["192.0.2.50"], ttlMs: undefined });
    expect(server.asked).toEqual([]);
  });

  it("sees a hosts file that changes", async () => {
    const { lookup } = names();
    const question = { host: "new.test", family: "v4only", ttl: true } as const;
    expect((await lookup(question)).addresses).toEqual([]);
    await writeFile(join(dir, "hosts"), "192.0.2.60 new.test another.test yet.another.test\n");
    expect((await lookup(question)).addresses).toEqual(["192.0.2.60"]);
  });

  it("tries the search domains in order, and a name with dots enough as it is first", async () => {
    expect((await ask("api")).addresses).toEqual(["192.0.2.9"]);
    expect((await ask("a.b.c")).addresses).toEqual([]);
    expect(server.asked).toEqual([
      "A api.outside.test",
      "A api.inside.test",
      "A a.b.c",
      "A a.b.c.outside.test",
      "A a.b.c.inside.test",
    ]);
  });

  it("asks the system where the DNS knows nothing", async () => {
    expect(await ask("elsewhere", { exact: true })).toEqual({ addresses: ["192.0.2.77"], ttlMs: undefined });
    expect(server.asked).toEqual(["A elsewhere"]);
  });

  it("is told of a failure, which is not the same as no address", async () => {
    await expect(ask("ill.test", { exact: true })).rejects.toThrow();
    expect(await ask("gone.test", { exact: true })).toMatchObject({ addresses: [] });
  });

  it("gets nothing but the answers of servers it names", async () => {
    const other = await NameServer.start({ "shop.test": { addresses: ["198.51.100.1"], ttl: 1 } });
    try {
      const servers = [other.address];
      expect((await ask("shop.test.", { servers })).addresses).toEqual(["198.51.100.1"]);
      expect((await ask("elsewhere", { servers, exact: true })).addresses).toEqual([]);
      expect([server.asked, system]).toEqual([[], []]);
    } finally {
      other.close();
    }
  });
});

it("asks the system for everybody else", async () => {
  expect(await ask("elsewhere", { ttl: false, family: "v4preferred" })).toEqual({
    addresses: ["192.0.2.77"],
    ttlMs: undefined,
  });
  expect([server.asked, system]).toEqual([[], ["elsewhere 4"]]);
});

it("shares a question under way and, for a while, its answer", async () => {
  const clock = manualClock();
  let asked = 0;
  const resolver = new Resolver(async () => ({ addresses: [`192.0.2.${++asked}`], ttlMs: 3000 }), clock);
  const question = { host: "shop.test", family: "all" } as const;
  const both = await Promise.all([resolver.ask(question), resolver.ask(question)]);
  expect(both.map(({ addresses }) => addresses[0])).toEqual(["192.0.2.1", "192.0.2.1"]);
  clock.advance(1000);
  expect(await resolver.ask(question)).toEqual({ addresses: ["192.0.2.1"], ttlMs: 2000 });
  expect((await resolver.ask(question, 500)).addresses).toEqual(["192.0.2.2"]);
  clock.advance(3000);
  expect((await resolver.ask(question)).addresses).toEqual(["192.0.2.3"]);
  expect((await resolver.ask({ host: "192.0.2.200", family: "v6only" })).addresses).toEqual(["192.0.2.200"]);
});
