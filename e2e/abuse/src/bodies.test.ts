/** Attack classes 6, 11 and 12: bodies that are more than they look, in crumbs or for others to judge, and certificates that write headers. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Backend, startBackend, valuesOf } from "./harness/backend.ts";
import { attack, FULL, lacking, needs, netcat, run } from "./harness/programs.ts";
import { Victim } from "./harness/proxy.ts";

/** What a body may cost beyond what any load costs once, in bytes; the bodies are larger. */
const MOST_GROWTH = 60_000_000;
/** DER of a subject alternative name: one URI that would be a header of its own if it were written as it is. */
const forgedName = () => {
  const uri = Buffer.from("spiffe://cluster.local/ns/a/sa/b\r\nx-forged: yes\r\nx-more: ", "latin1");
  return Buffer.concat([Buffer.from([0x30, uri.length + 2, 0x86, uri.length]), uri]).toString("hex");
};

let folder: string;
let backend: Backend;
let victim: Victim;
const CURL = ["-s", "-o", "/dev/null", "-w", "%{http_code}", "-m", "160"];

async function certificate(name: string, ...more: readonly string[]) {
  const [key, cert] = [join(folder, `${name}-key.pem`), join(folder, `${name}.pem`)];
  const ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  const made = await run("openssl", ["req", "-x509", ...ec, "-keyout", key, "-out", cert, "-days", "2", ...more]);
  expect(made.code, made.err).toBe(0);
  return { key, certificate: cert };
}

describe.skipIf(lacking("python3-h2", "curl", "netcat", "openssl"))(
  needs("bodies and certificates (curl, netcat, openssl, python)", "python3-h2", "curl", "netcat", "openssl"),
  () => {
    let client: { readonly key: string; readonly certificate: string };
    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), "lateen-abuse-bodies-"));
      const server = await certificate("server", "-subj", "/CN=shop");
      client = await certificate(
        "client",
        "-subj",
        "/CN=a\r\nx-forged: yes",
        "-addext",
        `2.5.29.17=DER:${forgedName()}`,
      );
      backend = await startBackend();
      const service = { uri: "http://authz", cluster: "backend", timeout: "20s" };
      victim = await Victim.start({
        upstreamPort: backend.port,
        tls: { ...server, clientRoots: client.certificate },
        filters: [
          {
            name: "envoy.filters.http.ext_authz",
            typed_config: {
              "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
              http_service: { server_uri: service, path_prefix: "/authz" },
              with_request_body: { max_request_bytes: 8_192 },
            },
          },
        ],
        routes: [
          {
            match: { prefix: "/free" },
            route: { cluster: "backend", timeout: "0s" },
            typed_per_filter_config: {
              "envoy.filters.http.ext_authz": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute",
                disabled: true,
              },
            },
          },
        ],
        manager: {
          forward_client_cert_details: "SANITIZE_SET",
          set_current_client_cert_details: { subject: true, uri: true, dns: true },
        },
      });
    });
    afterAll(async () => {
      await victim?.stop();
      backend?.close();
      if (folder !== undefined) await rm(folder, { recursive: true, force: true });
    });
    beforeEach(() => {
      backend.seen.length = 0;
    });

    /** Most memory beyond what was there before. */
    const growth = async (action: () => Promise<void>) => {
      await victim.forgetPeak();
      const before = (await victim.memory()).now;
      await action();
      victim.process.alive();
      return (await victim.memory()).peak - before;
    };

    it("class 12: a body that the judge is to see is refused before it takes memory", async () => {
      const body = Buffer.alloc(FULL ? 200_000_000 : 80_000_000, "x");
      const bytes = await growth(async () => {
        for (const more of [[], ["-H", "transfer-encoding: chunked"]]) {
          const argv = [...CURL, ...more, "--data-binary", "@-", victim.url("/judged")];
          // Whoever goes on sending may see the connection end before it sees the answer.
          expect((await run("curl", argv, body)).out).toMatch(/^(413|000)$/);
        }
      });
      expect(backend.seen).toEqual([]);
      expect(bytes).toBeLessThan(MOST_GROWTH);
      const small = [...CURL, "--data-binary", "hello", victim.url("/judged")];
      expect((await run("curl", small)).out).toBe("200");
      expect(backend.seen.map(({ url, body: seen }) => [url, seen])).toEqual([
        ["/authz/judged", "hello"],
        ["/judged", "hello"],
      ]);
    });

    it("class 12: what unfolds to a thousand times its size is passed on as it is", async () => {
      const bomb = gzipSync(Buffer.alloc(FULL ? 500_000_000 : 100_000_000));
      const bytes = await growth(async () => {
        const argv = [...CURL, "-H", "content-encoding: gzip", "--data-binary", "@-", victim.url("/free")];
        expect((await run("curl", argv, bomb)).out).toBe("200");
      });
      const [request] = backend.seen;
      expect(request?.body.slice(0, 5_000)).toBe(bomb.toString("latin1", 0, 5_000));
      expect(request === undefined ? [] : valuesOf(request, "content-length")).toEqual([String(bomb.length)]);
      expect(bytes).toBeLessThan(MOST_GROWTH);
    });

    const crumbs = FULL ? 200_000 : 20_000;
    it(`class 11: ${crumbs} bytes, each in a chunk of its own, arrive and are not held`, async () => {
      const head = "POST /free HTTP/1.1\r\nHost: shop\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
      const bytes = await growth(async () => {
        const answer = await netcat(victim.port, `${head}${"1\r\nx\r\n".repeat(crumbs)}0\r\n\r\n`, 30);
        expect(answer).toMatch(/^HTTP\/1\.1 200 /);
      });
      expect(backend.seen.map(({ bytes: arrived }) => arrived)).toEqual([crumbs]);
      expect(bytes).toBeLessThan(MOST_GROWTH);
    });

    it(`class 11: ${crumbs} bytes, each in a DATA frame of its own, arrive and are not held`, async () => {
      const bytes = await growth(async () => {
        const { outcome } = await attack<{ outcome: string }>(victim.port, "crumbs", String(crumbs));
        expect(outcome).toBe("status 200");
      });
      expect(backend.seen.map(({ bytes: arrived }) => arrived)).toEqual([crumbs]);
      expect(bytes).toBeLessThan(MOST_GROWTH);
    });

    it("class 6: a name in a certificate writes no header", async () => {
      const target = ["-connect", `127.0.0.1:${victim.tlsPort}`, "-quiet"];
      const request = "GET /free HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n";
      const argv = ["s_client", ...target, "-cert", client.certificate, "-key", client.key];
      const { out } = await run("openssl", argv, request);
      expect(out).toMatch(/^HTTP\/1\.1 200 /);
      const names = backend.seen.flatMap((one) => [valuesOf(one, "x-forged"), valuesOf(one, "x-more")]);
      expect(names).toEqual([[], []]);
      const [told = "", ...others] = backend.seen.flatMap((one) => valuesOf(one, "x-forwarded-client-cert"));
      expect(others).toEqual([]);
      expect(told).toContain("URI=spiffe://cluster.local/ns/a/sa/b%0D%0Ax-forged:");
      expect(told).toContain('Subject="CN=a');
      expect(backend.unreadable).toEqual([]);
      expect((await victim.log()).filter((line) => line.startsWith("x-forged"))).toEqual([]);
      expect((await run("curl", [...CURL, victim.url("/free")])).out).toBe("200");
    });
  },
);
