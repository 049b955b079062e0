import { execFile } from "node:child_process";
import http from "node:http";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { generator } from "./cases/case.ts";
import { type Backend, startApplication, startCommits } from "./harness/backends.ts";
import { program } from "./harness/programs.ts";
import { type Standalone, startStandalone } from "./harness/standalone.ts";

const FULL = process.env.LATEEN_TEST_FULL === "1";
const MEGABYTE = 1_000_000;

const programs = {
  curl: program("curl"),
  h2load: program("h2load"),
  "python3-h2": program("python3-h2"),
  chromium: program("chromium"),
};
type Name = keyof typeof programs;
const missing = (name: Name) => programs[name].path === undefined;
const titled = (name: Name) => {
  const found = programs[name];
  return found.path === undefined ? `${name} (skipped: ${found.reason})` : name;
};

function run(name: Name, argv: readonly string[], input = ""): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const options = { maxBuffer: 20 * MEGABYTE, timeout: 100_000, encoding: "latin1" } as const;
  const child = execFile(programs[name].path ?? name, argv, options, (error, out, err) =>
    error === null ? resolve(out) : reject(new Error(`${error.message}\n${out.slice(0, 500)}\n${err.slice(-1_000)}`)),
  );
  child.stdin?.end(input);
  return promise;
}

let application: Backend;
let proxy: Standalone;
beforeAll(async () => {
  application = await startApplication();
  proxy = await startStandalone({ codec: "AUTO", upstreamPort: application.port });
});
afterAll(async () => {
  await proxy?.stop();
  await application?.close();
});
const url = (path: string) => `http://127.0.0.1:${proxy.port}${path}`;

describe.skipIf(missing("curl"))(titled("curl"), () => {
  const versions = ["--http1.0", "--http1.1", "--http2-prior-knowledge"];

  it.each(versions)("%s: a body comes back as it went", async (version) => {
    const body = Array.from({ length: 60_000 }, (_, index) => String(index)).join();
    const out = await run("curl", ["-sS", version, "--data-binary", "@-", url("/back")], body);
    expect(out === body).toBe(true);
  });

  it.each(versions)("%s: answers without a body", async (version) => {
    const write = ["-o", "/dev/null", "-w", "%{http_code} %{size_download}"];
    expect(await run("curl", ["-sS", version, ...write, url("/nothing")])).toBe("204 0");
    expect(await run("curl", ["-sS", version, "-I", ...write, url("/bytes/1000")])).toMatch(/^200 /);
  });

  it("waits for 100 Continue, and gets it", async () => {
    const body = "x".repeat(2 * MEGABYTE);
    const argv = [
      "-sS",
      "--http1.1",
      "-H",
      "Expect: 100-continue",
      "--expect100-timeout",
      "60",
      "-D",
      "-",
      "-o",
      "/dev/null",
    ];
    const heads = await run("curl", [...argv, "--data-binary", "@-", url("/back")], body);
    expect(heads.split("\r\n").filter((line) => line.startsWith("HTTP/"))).toEqual([
      "HTTP/1.1 100 Continue",
      "HTTP/1.1 200 OK",
    ]);
  });

  it("uploads in chunks, and reads trailers", async () => {
    const chunked = ["-H", "Transfer-Encoding: chunked", "--data-binary", "@-"];
    expect(await run("curl", ["-sS", "--http1.1", ...chunked, url("/back")], "in chunks")).toBe("in chunks");
    for (const version of ["--http1.1", "--http2-prior-knowledge"]) {
      const out = await run("curl", ["-sS", version, "-H", "TE: trailers", "-D", "-", url("/trailers")]);
      expect(out).toContain("with trailers");
      expect(out.toLowerCase()).toContain("x-sum: 13");
    }
  });

  it("uses one connection for many requests", async () => {
    const urls = Array.from({ length: 20 }, () => url("/bytes/10"));
    const out = await run("curl", ["-sS", "--http1.1", "-w", "|%{num_connects}|", ...urls]);
    const connects = [...out.matchAll(/\|(\d)\|/g)].map(([, count]) => Number(count));
    expect(connects.reduce((sum, count) => sum + count, 0)).toBe(1);
  });
});

describe.skipIf(missing("h2load"))(titled("h2load"), () => {
  it.each([
    ["HTTP/2", ["-m", "10"]],
    ["HTTP/1.1", ["--h1", "-m", "4"]],
  ])("%s: every request succeeds", async (_name, how) => {
    const count = FULL ? 100_000 : 2_000;
    const out = await run("h2load", ["-n", String(count), "-c", "8", ...how, url("/bytes/1024")]);
    expect(out).toContain(`${count} succeeded, 0 failed, 0 errored, 0 timeout`);
    expect(out).toContain(`status codes: ${count} 2xx, 0 3xx, 0 4xx, 0 5xx`);
  });
});

describe.skipIf(missing("python3-h2"))(titled("python3-h2"), () => {
  it("sends 20 bodies at once, in small frames, as windows allow", async () => {
    const script = join(import.meta.dirname, "clients/h2-client.py");
    const out = await run("python3-h2", [script, String(proxy.port), "20", "100000"]);
    expect(JSON.parse(out)).toEqual(Array.from({ length: 20 }, () => ["200", 100_000]));
  });
});

describe.skipIf(missing("chromium"))(titled("chromium"), () => {
  it("opens a WebSocket from a page", async () => {
    const flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage"];
    const dom = await run("chromium", [...flags, "--dump-dom", url("/socket")]);
    expect(dom).toContain("came back: from a browser");
  });
});

describe("a counter of commits behind connections that break", () => {
  it.each([
    ["without a policy for retries", "timeout: 0s"],
    [
      "with Istio's policy for retries",
      'timeout: 0s, retry_policy: { retry_on: "connect-failure,refused-stream,unavailable,cancelled", num_retries: 2 }',
    ],
  ])("sees no POST twice, and each that was answered once: %s", async (_name, route) => {
    const { backend, counts } = await startCommits(generator(11));
    const before = await startStandalone({ codec: "AUTO", upstreamPort: backend.port, route });
    const agent = new http.Agent({ keepAlive: true, maxSockets: 8 });
    try {
      const count = FULL ? 10_000 : 1_000;
      const answers = new Map<string, string>();
      let next = 0;
      await Promise.all(
        Array.from({ length: 8 }, async () => {
          while (next < count) {
            const order = String(next++);
            answers.set(order, await post(before.port, order, agent));
          }
        }),
      );
      const twice = [...counts].filter(([, times]) => times > 1);
      expect(twice).toEqual([]);
      const lost = [...answers].filter(([order, answer]) => answer === "200 committed" && counts.get(order) !== 1);
      expect(lost).toEqual([]);
      const told = new Set([...answers.values()]);
      // All that a client may be told: it is done, it failed, or the connection broke within the answer.
      expect([...told].filter((answer) => !/^(200 committed|503 .*|cut)$/s.test(answer))).toEqual([]);
      expect([...answers.values()].filter((answer) => answer === "200 committed").length).toBeGreaterThan(count / 2);
    } finally {
      agent.destroy();
      await before.stop();
      await backend.close();
    }
  });
});

/** Status and body, or `cut` when the answer ended early. */
function post(port: number, order: string, agent: http.Agent): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const headers = { "x-order": order, host: "orders" };
  const request = http.request({ host: "127.0.0.1", port, method: "POST", path: "/orders", headers, agent });
  request.on("response", (response) => {
    let text = "";
    response.setEncoding("utf8");
    response.on("data", (chunk: string) => {
      text += chunk;
    });
    response.on("error", () => resolve("cut"));
    response.on("end", () => resolve(`${response.statusCode} ${text}`));
  });
  request.on("error", reject);
  request.end("one order");
  return promise;
}
