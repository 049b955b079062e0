/** Attack class 22: sound messages with some bits turned, by zzuf. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Backend, startBackend } from "./harness/backend.ts";
import { attack, FULL, lacking, needs, run } from "./harness/programs.ts";
import { Victim } from "./harness/proxy.ts";

const COUNT = FULL ? 10_000 : 150;

const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
const frame = (type: number, flags: number, id: number, payload: Buffer) =>
  Buffer.concat([Buffer.from([0, payload.length >> 8, payload.length & 255, type, flags, 0, 0, 0, id]), payload]);
const head = Buffer.from("82868401047368 6f70".replace(" ", ""), "hex");

/** Sound conversations, by name; `port` is where they are sent to. */
const SAMPLES: Readonly<Record<string, { readonly port: "port" | "proxyPort" | "tlsPort"; readonly bytes: Buffer }>> = {
  "HTTP/1 requests": {
    port: "port",
    bytes: Buffer.from(
      "GET /a?b HTTP/1.1\r\nHost: shop\r\nAccept: */*\r\nCookie: a=b\r\n\r\nPOST /c HTTP/1.1\r\nHost: shop\r\nContent-Length: 5\r\n\r\nhelloGET /last HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n",
    ),
  },
  "chunked bodies": {
    port: "port",
    bytes: Buffer.from(
      "POST /c HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nx-sum: 1\r\n\r\nGET /last HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n",
    ),
  },
  "HTTP/2 frames": {
    port: "port",
    bytes: Buffer.concat([
      preface,
      frame(4, 0, 0, Buffer.from("000300000064", "hex")),
      frame(1, 5, 1, head),
      frame(1, 1, 3, head.subarray(0, 4)),
      frame(9, 4, 3, head.subarray(4)),
      frame(1, 4, 5, Buffer.concat([Buffer.from([0x83]), head.subarray(1)])),
      frame(0, 1, 5, Buffer.from("hello")),
      frame(8, 0, 0, Buffer.from("00001000", "hex")),
      frame(6, 0, 0, Buffer.alloc(8)),
    ]),
  },
  "PROXY protocol, version 1": {
    port: "proxyPort",
    bytes: Buffer.from(
      "PROXY TCP4 203.0.113.7 198.51.100.1 5000 443\r\nGET / HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n",
    ),
  },
  "PROXY protocol, version 2": {
    port: "proxyPort",
    bytes: Buffer.concat([
      Buffer.from("0d0a0d0a000d0a515549540a21110010cb007107c6336401138801bb04000100", "hex"),
      Buffer.from("GET / HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n"),
    ]),
  },
  "TLS ClientHellos": { port: "tlsPort", bytes: Buffer.alloc(0) },
};

describe.skipIf(lacking("zzuf", "python3-h2", "openssl", "curl"))(
  needs(`${COUNT} mutated inputs a class (zzuf)`, "zzuf", "python3-h2", "openssl", "curl"),
  () => {
    let folder: string;
    let backend: Backend;
    let victim: Victim;
    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), "lateen-abuse-zzuf-"));
      const [key, certificate] = [join(folder, "key.pem"), join(folder, "cert.pem")];
      const made = await run("openssl", [
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-keyout",
        key,
        "-out",
        certificate,
        "-days",
        "2",
        "-subj",
        "/CN=shop",
      ]);
      expect(made.code, made.err).toBe(0);
      backend = await startBackend();
      victim = await Victim.start({ upstreamPort: backend.port, tls: { key, certificate } });
    });
    afterAll(async () => {
      await victim?.stop();
      backend?.close();
      await rm(folder, { recursive: true, force: true });
    });

    /** The first bytes that openssl's client sends. */
    async function clientHello(): Promise<Buffer> {
      const { createServer } = await import("node:net");
      const { promise, resolve } = Promise.withResolvers<Buffer>();
      const server = createServer((socket) => {
        socket.on("error", () => {});
        socket.once("data", (bytes) => {
          resolve(bytes);
          socket.destroy();
        });
      });
      await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
      const { port } = server.address() as { port: number };
      const client = run("openssl", [
        "s_client",
        "-connect",
        `127.0.0.1:${port}`,
        "-servername",
        "shop.example",
        "-alpn",
        "h2,http/1.1",
      ]);
      const bytes = await promise;
      await client;
      server.close();
      return bytes;
    }

    it.each(Object.keys(SAMPLES))("%s", async (name) => {
      const sample = SAMPLES[name];
      if (sample === undefined) throw new Error(name);
      const bytes = name.startsWith("TLS") ? await clientHello() : sample.bytes;
      const inputs = join(folder, name.replaceAll(/\W/g, "-"));
      await mkdir(inputs);
      const original = join(folder, "sample");
      await writeFile(original, bytes);
      // A share of all bits between 0.05 and 2 percent, the same for the same seed.
      const script = `for seed in $(seq 1 ${COUNT}); do zzuf -s $seed -r 0.0005:0.02 < "$1" > "$2/$seed"; done`;
      const { spawn } = await import("node:child_process");
      await new Promise<void>((done, fail) =>
        spawn("/bin/sh", ["-c", script, "sh", original, inputs])
          .on("error", fail)
          .on("close", () => done()),
      );
      backend.seen.length = 0;
      const told = await attack<{ count: number; slow: unknown[] }>(victim[sample.port], "raw", inputs, String(COUNT));
      expect(told.count).toBe(COUNT);
      // Beyond the time limits of headers that never end (2 s) and handshakes (15 s).
      expect(told.slow).toEqual([]);
      victim.process.alive();
      expect(backend.unreadable).toEqual([]);
      // What was forwarded is well formed, and nothing that the sample did not ask for in some spelling.
      for (const { raw } of backend.seen) for (const text of raw) expect(text).not.toMatch(/[\r\n\0]/);
      expect(victim.process.output).not.toMatch(/worker\.(defect|exited|failed|hung)/);
      expect((await run("curl", ["-s", "-o", "/dev/null", "-w", "%{http_code}", victim.url("/ok")])).out).toBe("200");
    });
  },
);
