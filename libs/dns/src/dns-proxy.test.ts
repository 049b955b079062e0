import { createSocket, type Socket as DatagramSocket } from "node:dgram";
import { Resolver } from "node:dns/promises";
import { once } from "node:events";
import { connect } from "node:net";
import { Scope, seededRandom, silentLogger, systemClock } from "@lateen/kernel";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { DnsProxy } from "./dns-proxy.ts";
import { framed } from "./frames.ts";
import { encodeName } from "./message.ts";

const many = Array.from({ length: 200 }, (_, index) => `10.1.${index}.1`);
const RECORDS = {
  reviews: ["10.96.0.1"],
  "reviews.default.svc.cluster.local": ["10.96.0.1"],
  "nats.default.svc.cluster.local": ["10.0.0.1", "10.0.0.2", "10.0.0.3"],
  "nats-0.nats.default.svc.cluster.local": ["10.0.0.1"],
  "six.default.svc.cluster.local": ["fd00::5"],
  "api.example.com": ["240.240.0.1"],
  "*.wild.example.com": ["240.240.0.2"],
  "many.default.svc.cluster.local": many,
};

let scope: Scope;
let upstream: DatagramSocket;
/** What the resolver behind the proxy was asked, and how it answers. */
let asked: Buffer[];
let answer: (query: Buffer) => readonly Buffer[];

beforeEach(async () => {
  scope = new Scope();
  asked = [];
  answer = (query) => [nxdomain(query)];
  upstream = createSocket("udp4");
  upstream.on("message", (query, from) => {
    asked.push(query);
    for (const reply of answer(query)) upstream.send(reply, from.port, from.address);
  });
  upstream.bind(0, "127.0.0.1");
  await once(upstream, "listening");
  scope.defer(() => void upstream.close());
});
afterEach(() => scope.close());

const nxdomain = (query: Buffer): Buffer => {
  const reply = Buffer.from(query);
  reply.writeUInt16BE(0x8183, 2);
  return reply;
};

async function proxy(timeoutMs = 30_000): Promise<DnsProxy> {
  return await DnsProxy.start(scope, {
    addresses: ["127.0.0.1"],
    port: 0,
    records: () => RECORDS,
    rules: { search: ["default.svc.cluster.local", "svc.cluster.local", "cluster.local"], zone: "cluster.local" },
    servers: [{ address: "127.0.0.1", port: upstream.address().port }],
    clock: systemClock(),
    random: seededRandom(1),
    logger: silentLogger,
    timeoutMs,
  });
}
async function resolver(): Promise<Resolver> {
  const { port } = await proxy();
  const found = new Resolver({ timeout: 20_000, tries: 1 });
  found.setServers([`127.0.0.1:${port}`]);
  return found;
}
function query(name: string, { type = 1, edns = Buffer.alloc(0), id = 7 } = {}): Buffer {
  const header = Buffer.from([0, id, 1, 0, 0, 1, 0, 0, 0, 0, 0, edns.length > 0 ? 1 : 0]);
  return Buffer.concat([header, encodeName(name), Buffer.from([0, type, 0, 1]), edns]);
}
async function exchange(port: number, message: Buffer): Promise<Buffer> {
  const socket = createSocket("udp4");
  try {
    socket.send(message, port, "127.0.0.1");
    const [reply] = (await once(socket, "message")) as [Buffer];
    return reply;
  } finally {
    socket.close();
  }
}

describe("names of the mesh", () => {
  it.each([
    ["reviews", ["10.96.0.1"]],
    ["reviews.default.svc.cluster.local", ["10.96.0.1"]],
    ["Reviews.Default.SVC.cluster.local", ["10.96.0.1"]],
    ["nats-0.nats.default.svc.cluster.local", ["10.0.0.1"]],
    ["api.example.com", ["240.240.0.1"]],
    ["a.b.wild.example.com", ["240.240.0.2"]],
    ["api.example.com.default.svc.cluster.local", ["240.240.0.1"]],
  ])("%s", async (name, addresses) => {
    expect(await (await resolver()).resolve4(name)).toEqual(addresses);
    expect(asked).toEqual([]);
  });

  it("has no IPv6 address where it has only IPv4, which is not the same as not being there", async () => {
    const client = await resolver();
    await expect(client.resolve6("reviews.default.svc.cluster.local")).rejects.toMatchObject({ code: "ENODATA" });
    await expect(client.resolveSrv("reviews.default.svc.cluster.local")).rejects.toMatchObject({ code: "ENODATA" });
    await expect(client.resolve4("nobody.default.svc.cluster.local")).rejects.toMatchObject({ code: "ENOTFOUND" });
    expect(await client.resolve6("six.default.svc.cluster.local")).toEqual(["fd00::5"]);
    expect(asked).toEqual([]);
  });

  it("gives all pods of a headless service, another one first from time to time", async () => {
    const client = await resolver();
    const firsts = new Set<string | undefined>();
    for (let i = 0; i < 40; i++) {
      const found = await client.resolve4("nats.default.svc.cluster.local");
      expect([...found].sort()).toEqual(["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
      firsts.add(found[0]);
    }
    expect(firsts.size).toBe(3);
  });

  it("cuts an answer that no datagram holds, and gives all of it over TCP", async () => {
    const { port } = await proxy();
    const edns = Buffer.from([0, 0, 41, 2, 88, 0, 0, 0, 0, 0, 0]);
    const cut = await exchange(port, query("many.default.svc.cluster.local", { edns }));
    expect(cut.readUInt16BE(2) & 0x0200).toBe(0x0200);
    expect(cut.length).toBeLessThanOrEqual(600);
    const client = new Resolver({ timeout: 20_000, tries: 1 });
    client.setServers([`127.0.0.1:${port}`]);
    expect([...(await client.resolve4("many.default.svc.cluster.local"))].sort()).toEqual([...many].sort());
  });

  it("repeats the question byte by byte and refuses other versions of EDNS", async () => {
    const { port } = await proxy();
    const asked = query("ReViEwS");
    const reply = await exchange(port, asked);
    expect(reply.subarray(12, asked.length)).toEqual(asked.subarray(12));
    const version7 = Buffer.from([0, 0, 41, 16, 0, 0, 7, 0, 0, 0, 0]);
    const refused = await exchange(port, query("reviews", { edns: version7 }));
    expect([(refused[3] ?? 0) & 0xf, refused.at(-6)]).toEqual([0, 1]);
  });
});

describe("other names", () => {
  it("are asked for upstream, under another id, and the answer comes as it is", async () => {
    const client = await resolver();
    answer = (sent) => {
      const reply = Buffer.concat([
        sent.subarray(0, 12),
        sent.subarray(12),
        Buffer.from("c00c0001000100000005000401020304", "hex"),
      ]);
      reply.writeUInt16BE(0x8180, 2);
      reply.writeUInt16BE(1, 6);
      reply.writeUInt16BE(0, 10);
      return [reply];
    };
    expect(await client.resolve4("www.example.org", { ttl: true })).toEqual([{ address: "1.2.3.4", ttl: 5 }]);
    expect(asked).toHaveLength(1);
  });

  it("an answer to another question, or with another id, is not taken", async () => {
    const client = await resolver();
    answer = (sent) => {
      const otherId = nxdomain(sent);
      otherId.writeUInt16BE(otherId.readUInt16BE(0) ^ 1, 0);
      const otherName = nxdomain(sent);
      otherName[13] = 0x78;
      const good = Buffer.from(sent);
      good.writeUInt16BE(0x8180, 2);
      return [otherId, otherName, Buffer.alloc(3), good];
    };
    await expect(client.resolve4("www.example.org")).rejects.toMatchObject({ code: "ENODATA" });
  });

  it("a resolver that is silent is a failure in time", async () => {
    const { port } = await proxy(50);
    answer = () => [];
    const reply = await exchange(port, query("www.example.org"));
    expect((reply[3] ?? 0) & 0xf).toBe(2);
  });
});

it("a resolver to which there is no way is a failure, not the end of us", async () => {
  const unreachable = await DnsProxy.start(scope, {
    addresses: ["127.0.0.1"],
    port: 0,
    records: () => RECORDS,
    rules: { search: [], zone: undefined },
    // The limited broadcast address cannot be connected to; the second one refuses, the third is of no family here.
    servers: ["255.255.255.255", "127.0.0.1", "fe80::1"].map((address) => ({ address, port: 1 })),
    clock: systemClock(),
    random: seededRandom(1),
    logger: silentLogger,
    timeoutMs: 200,
  });
  const reply = await exchange(unreachable.port, query("www.example.org"));
  expect((reply[3] ?? 0) & 0xf).toBe(2);
});

describe("hostile messages", () => {
  it.each<[string, Buffer, number | undefined]>([
    ["two questions", mangle(query("reviews"), 5, 2), 1],
    [
      "a name that points at itself",
      Buffer.concat([query("reviews").subarray(0, 12), Buffer.from([0xc0, 12, 0, 1, 0, 1])]),
      1,
    ],
    ["a label beyond the end", mangle(query("reviews"), 12, 63), 1],
    ["an update", mangle(query("reviews"), 2, 0x28), 4],
    ["records that are not there", mangle(query("reviews"), 11, 200), 1],
  ])("%s", async (_name, message, code) => {
    const { port } = await proxy();
    const reply = await exchange(port, message);
    expect((reply[3] ?? 0) & 0xf).toBe(code);
  });

  it("answers are not answered, noise neither, and service goes on", async () => {
    const { port } = await proxy();
    const socket = createSocket("udp4");
    socket.on("message", () => expect.unreachable("nothing was asked"));
    socket.send(nxdomain(query("reviews")), port, "127.0.0.1");
    socket.send(Buffer.alloc(11, 0xff), port, "127.0.0.1");
    socket.send(Buffer.alloc(60_000, 0x41), port, "127.0.0.1");
    expect((await exchange(port, query("reviews"))).readUInt16BE(6)).toBe(1);
    socket.close();
  });

  it("a stream that is no DNS is closed; one with many questions gets all answers", async () => {
    const { port } = await proxy();
    const noise = connect(port, "127.0.0.1");
    noise.on("error", () => {});
    noise.write(Buffer.alloc(10_000, 0xff));
    await once(noise, "close");
    const stream = connect(port, "127.0.0.1");
    const messages = Array.from({ length: 10 }, (_, id) => framed(query("reviews", { id })));
    for (const byte of Buffer.concat(messages)) stream.write(Buffer.from([byte]));
    let got = Buffer.alloc(0);
    const each = framed(query("reviews")).length + 16;
    for await (const bytes of stream) {
      got = Buffer.concat([got, bytes as Buffer]);
      if (got.length >= each * 10) break;
    }
    expect(got.length).toBe(each * 10);
  });
});

function mangle(message: Buffer, at: number, value: number): Buffer {
  const copy = Buffer.from(message);
  copy[at] = value;
  return copy;
}
