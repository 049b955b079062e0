/** Attack classes 1–5, 7, 12 and 13: requests that would be read in two ways, or cost more than they should. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually, freePorts } from "@lateen/test-support";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Backend, startBackend, valuesOf } from "./harness/backend.ts";
import { attack, Daemon, lacking, needs, netcat, pathOf, run } from "./harness/programs.ts";
import { deny, Victim } from "./harness/proxy.ts";

const get = (target: string, ...headers: readonly string[]) =>
  `GET ${target} HTTP/1.1\r\n${headers.map((line) => `${line}\r\n`).join("")}Connection: close\r\n\r\n`;
const statusOf = (answer: string) => Number(/^HTTP\/1\.1 (\d{3}) /.exec(answer)?.[1] ?? 0);
const hex = (text: string) => Buffer.from(text, "latin1").toString("hex");

let backend: Backend;
beforeAll(async () => {
  backend = await startBackend();
});
afterAll(() => backend?.close());
beforeEach(() => {
  backend.seen.length = 0;
});

describe.skipIf(lacking("curl", "nginx"))(
  needs("class 1: paths that hide what they ask for (curl, nginx)", "curl", "nginx"),
  () => {
    let folder: string;
    let nginx: Daemon;
    let origin: number;
    let victim: Victim;
    const words = (() => {
      const slashes = [
        "/",
        "//",
        "///",
        "/./",
        "/.//",
        "/x/../",
        "/x/..//",
        "/%2f",
        "%2f",
        "%2F/",
        "/%2e/",
        "/x/%2e%2e/",
        "/x/.%2e/",
        "/x/..%2f",
        "/x%2f..%2f",
        "/x/%2e%2e%2f",
        "/;/",
        "/x/..;/",
        "%5c",
        "/x%5c..%5c",
        "\\",
        "/x\\..\\",
        "/%252f",
        "/x/%252e%252e/",
        "/%c0%af",
        "/x/%c0%ae%c0%ae/",
      ];
      const names = [
        "admin",
        "%61dmin",
        "adm%69n",
        "ADMIN",
        "admin%00",
        "admin%20",
        "admin.",
        "admin;x",
        "./admin",
        "x/../admin",
        "%2e/admin",
      ];
      return slashes
        .flatMap((slash) => names.map((name) => `${slash}${name}`))
        .map((start) => `${start.startsWith("/") ? "" : "/"}${start}`)
        .flatMap((start) => [
          `${start}/secret`,
          `${start}//secret`,
          `${start}%2fsecret`,
          `${start}/./secret`,
          `${start}/x/../secret`,
        ]);
    })();

    /** Bodies of all answers. Curl does not touch the paths, and takes many at once. */
    const all = async (port: number) => {
      const urls = words.map((word) => `http://127.0.0.1:${port}${word}`);
      const { out } = await run(
        "curl",
        ["-s", "--path-as-is", "--globoff", "-H", "host: shop", "-K", "-"],
        urls.map((url) => `url = "${url.replaceAll("\\", "\\\\")}"`).join("\n"),
      );
      return out;
    };

    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), "lateen-abuse-nginx-"));
      await mkdir(join(folder, "www/admin"), { recursive: true });
      await writeFile(join(folder, "www/admin/secret"), "THE SECRET\n");
      await writeFile(join(folder, "www/public"), "public\n");
      [origin = 0] = await freePorts(1);
      const server = `server { listen 127.0.0.1:${origin}; root ${folder}/www; }`;
      const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map((kind) => `${kind}_temp_path ${folder};`)
        .join(" ");
      await writeFile(
        join(folder, "nginx.conf"),
        `daemon off; master_process off; pid ${folder}/pid; error_log stderr; events {} http { access_log off; ${temporary} ${server} }`,
      );
      nginx = new Daemon([pathOf("nginx"), "-c", join(folder, "nginx.conf"), "-p", folder]);
      victim = await Victim.start({
        upstreamPort: origin,
        filters: [deny({ url_path: { path: { prefix: "/admin" } } })],
      });
      await eventually("nginx answers", async () => {
        nginx.alive();
        return (await run("curl", ["-s", victim.url("/public")])).out === "public\n" ? true : undefined;
      });
    });
    afterAll(async () => {
      await victim?.stop();
      await nginx?.stop();
      await rm(folder, { recursive: true, force: true });
    });

    it(`none of ${words.length} spellings brings the secret page`, async () => {
      expect((await all(origin)).split("THE SECRET").length, "spellings that nginx itself understands").toBeGreaterThan(
        100,
      );
      expect(await all(victim.port)).not.toContain("THE SECRET");
      expect((await run("curl", ["-s", victim.url("/public")])).out).toBe("public\n");
    });
  },
);

describe.skipIf(lacking("netcat", "curl", "python3-h2"))(
  needs("requests (netcat, curl, python's hyperframe)", "netcat", "curl", "python3-h2"),
  () => {
    let victim: Victim;
    beforeAll(async () => {
      const header = (name: string, match: object) => deny({ header: { name, ...match } });
      victim = await Victim.start({
        upstreamPort: backend.port,
        filters: [
          deny({ url_path: { path: { prefix: "/admin" } } }),
          header("x-role", { string_match: { contains: "admin" } }),
        ],
        virtualHosts: [
          {
            name: "secret",
            domains: ["secret.example", "secret.example:*"],
            routes: [{ match: { prefix: "/" }, direct_response: { status: 403 } }],
          },
        ],
        routes: [
          {
            match: { safe_regex: { regex: "(/a+)+$" } },
            direct_response: { status: 418 },
          },
        ],
      });
    });
    afterAll(() => victim?.stop());
    const healthy = async () => {
      victim.process.alive();
      expect((await run("curl", ["-s", "-o", "/dev/null", "-w", "%{http_code}", victim.url("/ok")])).out).toBe("200");
    };

    it("class 2: a fragment is refused, and a query does not hide a path", async () => {
      expect(statusOf(await netcat(victim.port, get("/public#/../admin", "Host: shop")))).toBe(400);
      expect(statusOf(await netcat(victim.port, get("/admin#x", "Host: shop")))).toBe(400);
      for (const target of ["/admin?", "/admin?x", "/admin/?#", "/x/../admin?y"])
        expect([400, 403], target).toContain(statusOf(await netcat(victim.port, get(target, "Host: shop"))));
      const paths = await attack<Record<string, string>>(
        victim.port,
        "paths",
        hex("/a#/admin"),
        hex("/admin?x"),
        hex("/ok"),
      );
      expect(paths).toEqual({
        [hex("/a#/admin")]: "reset 1",
        [hex("/admin?x")]: "status 403",
        [hex("/ok")]: "status 200",
      });
      expect(backend.seen.map(({ url }) => url)).toEqual(["/ok"]);
    });

    it.each([
      ["in capitals", get("/", "Host: SECRET.Example"), 403],
      ["with a port", get("/", "Host: secret.example:8080"), 403],
      ["in the target, with another in Host", get("http://secret.example/", "Host: shop"), 403],
      ["first of two", get("/", "Host: secret.example", "Host: shop"), 400],
      ["second of two", get("/", "Host: shop", "Host: secret.example"), 400],
      ["behind a tab", get("/", "Host:\tsecret.example"), 403],
      ["behind a line that is folded", get("/", "Host: shop", "X: y\r\n Host: secret.example"), 400],
      ["behind userinfo", get("http://shop@secret.example/", "Host: shop"), 400],
    ])("class 3: a host %s", async (_title, request, status) => {
      expect(statusOf(await netcat(victim.port, request))).toBe(status);
      expect(backend.seen).toEqual([]);
    });

    it("class 3: what is judged is what is forwarded", async () => {
      expect(statusOf(await netcat(victim.port, get("http://Shop.example:80/x", "Host: secret.example")))).toBe(200);
      expect(backend.seen).toMatchObject([{ host: "Shop.example:80", url: "/x" }]);
    });

    it("class 4: every value of a header is judged, without the space around it", async () => {
      const ask = async (...values: readonly string[]) => {
        const headers = values.flatMap((value) => ["-H", `x-role: ${value}`]);
        return (await run("curl", ["-s", "-o", "/dev/null", "-w", "%{http_code}", ...headers, victim.url("/ok")])).out;
      };
      expect(await ask("user")).toBe("200");
      expect(await ask("user", "admin")).toBe("403");
      expect(await ask("admin", "user")).toBe("403");
      expect(await ask(" admin ")).toBe("403");
      expect(statusOf(await netcat(victim.port, get("/ok", "Host: shop", "X-Role:admin \t ")))).toBe(403);
      expect(statusOf(await netcat(victim.port, get("/ok", "Host: shop", "X-Role : admin")))).toBe(400);
      expect(statusOf(await netcat(victim.port, get("/ok", "Host: shop", "X-Role\t: admin")))).toBe(400);
    });

    it.each([150, 1_001, 2_500])("class 4: %i headers are refused as a whole", async (count) => {
      const lines = [...Array.from({ length: count }, (_, index) => `x-${index}: y`), "x-role: admin"];
      expect(statusOf(await netcat(victim.port, get("/ok", "Host: shop", ...lines)))).toBe(431);
      expect(await attack(victim.port, "headers", String(count))).toMatch(/^(status 431|goaway (6|11))$/);
      expect(backend.seen).toEqual([]);
      await healthy();
    });

    it("class 5: headers that only the mesh may set do not come through an edge", async () => {
      const spoofed = {
        "x-envoy-original-path": "/admin",
        "x-envoy-internal": "true",
        "x-envoy-peer-metadata": "AAAA",
        "x-envoy-peer-metadata-id": "sidecar~10.0.0.1~a.b~c",
        "x-envoy-decorator-operation": "evil",
        "x-envoy-external-address": "10.0.0.1",
        "x-envoy-upstream-rq-timeout-ms": "1",
        "x-envoy-max-retries": "50",
        "x-envoy-retry-on": "5xx",
        "x-forwarded-client-cert": "URI=spiffe://cluster.local/ns/istio-system/sa/admin",
        "x-forwarded-proto": "https",
        "x-request-id": "mine",
      };
      const headers = Object.entries({ ...spoofed, "x-forwarded-for": "10.0.0.1" }).flatMap(([name, value]) => [
        "-H",
        `${name}: ${value}`,
      ]);
      await run("curl", ["-s", "--interface", "127.0.0.2", ...headers, victim.url("/spoofed")]);
      const [request] = backend.seen;
      expect(request?.url).toBe("/spoofed");
      if (request === undefined) return;
      for (const [name, value] of Object.entries(spoofed)) expect(valuesOf(request, name), name).not.toContain(value);
      expect(valuesOf(request, "x-envoy-external-address")).toEqual(["127.0.0.2"]);
      expect(valuesOf(request, "x-forwarded-for")).toEqual(["10.0.0.1,127.0.0.2"]);
      expect(valuesOf(request, "x-forwarded-proto")).toEqual(["http"]);
    });

    const inner = "GET /smuggled HTTP/1.1\r\nHost: shop\r\n\r\n";
    const post = (headers: string, body: string) => `POST /outer HTTP/1.1\r\nHost: shop\r\n${headers}\r\n\r\n${body}`;
    it.each([
      ["CL.TE", post("Content-Length: 6\r\nTransfer-Encoding: chunked", `0\r\n\r\n${inner}`)],
      ["TE.CL", post("Transfer-Encoding: chunked\r\nContent-Length: 4", `5c\r\n${inner}\r\n0\r\n\r\n`)],
      ["TE.TE with a tab", post("Transfer-Encoding:\tchunked\r\nTransfer-encoding: x", `0\r\n\r\n${inner}`)],
      ["TE behind a vertical tab", post("Transfer-Encoding: \x0bchunked", `0\r\n\r\n${inner}`)],
      [
        "TE with a space before the colon",
        post("Transfer-Encoding : chunked\r\nContent-Length: 3", `0\r\n\r\n${inner}`),
      ],
      ["TE: identity, chunked", post("Transfer-Encoding: identity, chunked", `0\r\n\r\n${inner}`)],
      ["TE in HTTP/1.0", `POST /outer HTTP/1.0\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${inner}`],
      ["two lengths", post(`Content-Length: 0\r\nContent-Length: ${inner.length}`, inner)],
      ["a list of lengths", post(`Content-Length: 0, ${inner.length}`, inner)],
      ["a length with a sign", post(`Content-Length: +${inner.length}`, inner)],
      ["a length with a space before the colon", post(`Content-Length : ${inner.length}`, inner)],
      ["a length named by Connection", post(`Connection: Content-Length\r\nContent-Length : ${inner.length}`, inner)],
      ["a bare LF in front of TE", post(`X: y\nTransfer-Encoding: chunked\r\nContent-Length: 0`, `0\r\n\r\n${inner}`)],
      ["a chunk size with 0x", post("Transfer-Encoding: chunked", `0x0\r\n\r\n${inner}`)],
      ["a chunk size that overflows", post("Transfer-Encoding: chunked", `10000000000000000\r\n${inner}`)],
      ["a chunk extension with a bare LF", post("Transfer-Encoding: chunked", `1;a\nb\r\nx\r\n0\r\n\r\n${inner}`)],
      [
        "a trailer that frames",
        post("Transfer-Encoding: chunked", `0\r\nContent-Length: ${inner.length}\r\n\r\n${inner}`),
      ],
      [
        "a body with CONNECT",
        `CONNECT shop:80 HTTP/1.1\r\nHost: shop:80\r\nContent-Length: ${inner.length}\r\n\r\n${inner}`,
      ],
      ["data behind CONNECT", `CONNECT shop:80 HTTP/1.1\r\nHost: shop:80\r\n\r\n${inner}`],
    ])("class 7: %s smuggles nothing", async (_title, bytes) => {
      await netcat(victim.port, bytes, 1);
      expect(backend.seen.filter(({ url }) => url === "/smuggled")).toEqual([]);
      expect(backend.unreadable).toEqual([]);
    });

    it("class 7: what follows an Upgrade that was not granted is judged like any other request, or not read", async () => {
      const upgrade = "GET /up HTTP/1.1\r\nHost: shop\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
      const answer = await netcat(victim.port, `${upgrade}${get("/admin", "Host: shop")}`);
      expect(answer.match(/HTTP\/1\.1 \d{3}/g)).toEqual(
        expect.toBeOneOf([["HTTP/1.1 200"], ["HTTP/1.1 200", "HTTP/1.1 403"]]),
      );
      expect(backend.seen.map(({ url }) => url)).toEqual(["/up"]);
    });

    it("class 7: PROXY headers that lie about their length reach nobody", async () => {
      const v2 = Buffer.from("0d0a0d0a000d0a515549540a", "hex");
      const ipv4 = Buffer.from("cb007107c6336401138801bb", "hex");
      const header = (length: number, ...rest: readonly Buffer[]) => {
        const size = Buffer.alloc(2);
        size.writeUInt16BE(length);
        return Buffer.concat([v2, Buffer.from([0x21, 0x11]), size, ...rest]);
      };
      const request = Buffer.from(get("/proxied", "Host: shop"));
      expect(statusOf(await netcat(victim.proxyPort, Buffer.concat([header(12, ipv4), request])))).toBe(200);
      expect(valuesOf(backend.seen[0] as never, "x-forwarded-for")).toEqual(["203.0.113.7"]);
      backend.seen.length = 0;
      for (const bytes of [
        Buffer.concat([header(4, ipv4), request]),
        Buffer.concat([header(65_535, ipv4), request]),
        Buffer.concat([header(15, ipv4, Buffer.from([4, 255, 255])), Buffer.from(`\r\n${"x".repeat(10)}`), request]),
        Buffer.concat([Buffer.from("PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n"), request]),
        Buffer.concat([Buffer.from("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n"), request]),
        request,
      ])
        await netcat(victim.proxyPort, bytes);
      expect(backend.seen.filter(({ method }) => method !== "GET")).toEqual([]);
      // A TLV may say what it likes about its own length: the header's length counts.
      expect(backend.seen.filter(({ url }) => url !== "/proxied")).toEqual([]);
      await healthy();
    });

    it("class 12: headers of 61 KiB are refused, and a body as large as one likes takes no memory", async () => {
      const big = ["-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", `x-big: ${"y".repeat(61 * 1024)}`];
      expect((await run("curl", [...big, "--http1.1", victim.url("/big")])).out).toBe("431");
      expect((await run("curl", [...big, "--http2-prior-knowledge", victim.url("/big")])).out).toMatch(/^(431|000)$/);
      expect(backend.seen).toEqual([]);
      await victim.forgetPeak();
      const before = (await victim.memory()).now;
      const body = Buffer.alloc(100_000_000, "x");
      const upload = ["-s", "-o", "/dev/null", "-w", "%{http_code}", "--data-binary", "@-"];
      expect((await run("curl", [...upload, victim.url("/upload")], body)).out).toBe("200");
      expect((await victim.memory()).peak - before).toBeLessThan(60_000_000);
    });

    it("class 13: an expression that backtracks elsewhere holds nobody up", async () => {
      const start = performance.now();
      const evil = run("curl", ["-s", "-o", "/dev/null", "-w", "%{http_code}", victim.url(`/${"a/".repeat(4_000)}!`)]);
      const other = run("curl", ["-s", "-o", "/dev/null", "-w", "%{http_code}", victim.url("/ok")]);
      expect((await evil).out).toBe("200");
      expect((await other).out).toBe("200");
      // A backtracking engine would not be back this year.
      expect(performance.now() - start).toBeLessThan(10_000);
    });

    it.each([
      ["a grpc-timeout of nonsense", ["grpc-timeout: 99999999999999999999H", "content-type: application/grpc"]],
      ["a negative grpc-timeout", ["grpc-timeout: -5S", "content-type: application/grpc"]],
      ["a range without end", ["range: bytes=0-,0-,0-,99999999999999999999-"]],
      ["a traceparent of nonsense", [`traceparent: ${"f".repeat(5_000)}`, "x-b3-traceid: \xff\xfe"]],
      ["a cookie without end", [`cookie: ${"a=b; ".repeat(8_000)}`]],
      ["a date of nonsense", ["if-modified-since: \xff", "date: 99999999999999"]],
    ])("class 22: %s", async (_title, headers) => {
      expect(statusOf(await netcat(victim.port, get("/odd", "Host: shop", ...headers)))).toBeGreaterThan(0);
      await healthy();
    });

    it("class 22: no Host at all", async () => {
      expect(statusOf(await netcat(victim.port, get("/odd")))).toBe(400);
      expect(backend.seen).toEqual([]);
      await healthy();
    });

    it.each([
      ["a scoped IPv6 address", "[fe80::1%25eth0]:80"],
      ["empty", ""],
      ["a bracket that stays open", "[::1"],
      ["a port beyond all ports", "shop:999999"],
      ["nothing but a colon", ":"],
    ])("class 22: Host is %s", async (_title, host) => {
      expect([200, 400]).toContain(statusOf(await netcat(victim.port, get("/odd", `Host: ${host}`))));
      await healthy();
    });
  },
);
