/** Attack classes 6 and 8–12: HTTP/2 floods, slow and idle clients, and how much memory a byte sent may cost. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "@lateen/test-support";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type Backend, startBackend } from "./harness/backend.ts";
import { attack, FULL, lacking, needs, pathOf, run } from "./harness/programs.ts";
import { Victim } from "./harness/proxy.ts";

const CALM = "11";
/** Memory that one byte sent may cost at most: Envoy's limit of what counts as a vulnerability. */
const AMPLIFICATION = 100;
/** Growth that any load causes once (garbage before its collection, code that gets compiled), in bytes; it does not grow with the flood. */
const WARM = 48_000_000;

let folder: string;
let backend: Backend;
let victim: Victim;
const children: ChildProcess[] = [];
beforeAll(async () => {
  if (lacking("python3-h2", "curl", "openssl") !== undefined) return;
  folder = await mkdtemp(join(tmpdir(), "lateen-abuse-tls-"));
  const [key, certificate] = [join(folder, "key.pem"), join(folder, "cert.pem")];
  const ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
  await run("openssl", [
    "req",
    "-x509",
    ...ec,
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
  backend = await startBackend();
  victim = await Victim.start({ upstreamPort: backend.port, tls: { key, certificate }, maxConnections: 3_000 });
  // Buffers and compiled code of a proxy that has worked before.
  await run("h2load", ["-n", "20000", "-c", "20", "-m", "10", victim.url("/")]);
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
});
afterAll(async () => {
  await victim?.stop();
  backend?.close();
  if (folder !== undefined) await rm(folder, { recursive: true, force: true });
});

async function served(): Promise<void> {
  victim.process.alive();
  await eventually("the proxy serves", async () =>
    (await run("curl", ["-s", "-o", "/dev/null", "-w", "%{http_code}", "-m", "20", victim.url("/ok")])).out === "200"
      ? true
      : undefined,
  );
}

/** Memory at its most while something was done, beyond what was there before. */
async function growth<T>(action: () => Promise<T>): Promise<{ readonly result: T; readonly bytes: number }> {
  await victim.forgetPeak();
  const before = (await victim.memory()).now;
  const result = await action();
  return { result, bytes: (await victim.memory()).peak - before };
}

interface Flood {
  readonly sent: number;
  readonly connections: number;
  readonly codes: Readonly<Record<string, number>>;
}

describe.skipIf(lacking("python3-h2", "curl", "h2load", "openssl"))(
  needs("HTTP/2 (python's hyperframe, curl, h2load)", "python3-h2", "curl", "h2load", "openssl"),
  () => {
    it("class 6: fields that are illegal in HTTP/2 reset their stream, and reach nobody", async () => {
      backend.seen.length = 0;
      const outcomes = await attack<Record<string, string>>(victim.port, "illegal");
      const wrong = Object.entries(outcomes).filter(([, outcome]) => !/^(reset 1|goaway \d+)$/.test(outcome));
      expect(wrong).toEqual([]);
      expect(Object.keys(outcomes).length).toBeGreaterThan(10);
      expect(backend.seen).toEqual([]);
    });

    it("class 6: neither a server name nor a header writes lines into the log", async () => {
      const before = (await victim.log()).length;
      const tls = (name: string) =>
        run(
          "openssl",
          ["s_client", "-connect", `127.0.0.1:${victim.tlsPort}`, "-servername", name, "-quiet", "-no_ign_eof"],
          "GET /log HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n",
        );
      await tls("shop\nGET /forged 200 via_upstream");
      await tls("shop.example");
      await run("curl", ["-s", "-o", "/dev/null", "-A", "x\x1b[2J\u00ff\t", victim.url("/log")]);
      const lines = await eventually("the log is written", async () => {
        const all = (await victim.log()).slice(before);
        return all.filter((line) => line.startsWith("GET /log")).length >= 2 ? all : undefined;
      });
      expect(lines.filter((line) => line.startsWith("GET /forged"))).toEqual([]);
      for (const line of lines) expect(line).toMatch(/^\S+ \S+ \d+ \S+ sni=[^\n]* agent=/);
      await served();
    });

    it.each([
      "rapid-reset",
      "ping",
      "settings",
      "priority",
      "window-update",
      "empty-data",
      "continuation",
      "empty-continuation",
      "streams",
      "unknown",
    ])("classes 8–10: a flood of %s ends with ENHANCE_YOUR_CALM, and costs little memory", async (name) => {
      const { result, bytes } = await growth(() => attack<Flood>(victim.port, name, String(FULL ? 100_000 : 15_000)));
      expect(Object.keys(result.codes), JSON.stringify(result)).toEqual([CALM]);
      expect(bytes, `${result.sent} bytes sent`).toBeLessThan(WARM + AMPLIFICATION * result.sent);
      await served();
    });

    it("class 9: heads that unfold by references are not held beyond what was sent for them", async () => {
      // Open requests cost something by themselves: the same number of connections and streams with small heads.
      const plain = await growth(() => attack<{ sent: number }>(victim.port, "plain", "40"));
      for (const name of ["table", "cookies"]) {
        const { result, bytes } = await growth(() => attack<{ sent: number }>(victim.port, name, "40"));
        const most = WARM + Math.max(0, plain.bytes) + AMPLIFICATION * (result.sent - plain.result.sent);
        expect(bytes, `${name}: ${result.sent} bytes sent`).toBeLessThan(most);
        await served();
      }
    });

    it("class 11: who asks for much and reads nothing is not read for", async () => {
      const { result, bytes } = await growth(() => attack<{ sent: number }>(victim.port, "pipe", "100", "10"));
      // A thousand answers of 1 MB are asked for.
      expect(bytes, `${result.sent} bytes sent`).toBeLessThan(100_000_000);
      await served();
    });
  },
);

describe.skipIf(lacking("python3-h2", "curl", "slowhttptest", "openssl"))(
  needs("slow clients (slowhttptest, python)", "python3-h2", "curl", "slowhttptest", "openssl"),
  () => {
    const seconds = FULL ? 30 : 4;
    it.each([
      ["headers", ["-H"]],
      ["bodies", ["-B", "-s", "1000000"]],
      // How much the kernel takes from us for clients that do not read differs from run to run.
      ...(FULL ? [["reading", ["-X", "-k", "5", "-w", "1", "-y", "10", "-n", "1", "-z", "1"]] as const] : []),
    ] as const)("class 11: slow %s leave others alone", async (_title, mode) => {
      const { result, bytes } = await growth(async () => {
        const attacker = run("slowhttptest", [
          ...mode,
          "-c",
          "500",
          "-r",
          "500",
          "-i",
          "1",
          "-l",
          String(seconds),
          "-u",
          victim.url("/bytes/500000"),
          "-p",
          "3",
        ]);
        let worst = 0;
        let ended = false;
        void attacker.finally(() => {
          ended = true;
        });
        while (!ended) {
          const { out } = await run("curl", [
            "-s",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code} %{time_total}",
            "-m",
            "20",
            victim.url("/ok"),
          ]);
          const [status, took] = out.split(" ");
          expect(status, (await victim.log()).at(-1)).toBe("200");
          worst = Math.max(worst, Number(took));
        }
        return worst;
      });
      // Of a machine that others use as well; it is milliseconds on a quiet one.
      expect(result).toBeLessThan(15);
      // Of 500 connections each may hold what is under way to a client that does not read, however long that takes.
      expect(bytes).toBeLessThan(500 * 200_000);
    });

    const idle = async (count: number, text: string) => {
      const child = spawn(
        pathOf("python3-h2"),
        [join(import.meta.dirname, "clients/attack.py"), String(victim.port), "idle", String(count), text],
        { stdio: ["pipe", "pipe", "inherit"] },
      );
      children.push(child);
      const told = await new Promise<string>((resolve, reject) => {
        let out = "";
        child.stdout.setEncoding("utf8").on("data", (part: string) => {
          out += part;
          if (out.endsWith("\n")) resolve(out);
        });
        child.on("error", reject);
        child.on("exit", () => reject(new Error("the attacker ended")));
      });
      return JSON.parse(told) as { sent: number; open: number; ended: number };
    };

    it("class 11: connections beyond the limit are refused, the others stay, and the limit is free again after them", async () => {
      const { result, bytes } = await growth(() => idle(3_500, "GET / HTTP/1.1\\r\\nHost: shop\\r\\nX-"));
      expect(result.open).toBeGreaterThan(2_500);
      expect(result.open).toBeLessThanOrEqual(3_000);
      expect(result.ended).toBeGreaterThanOrEqual(400);
      expect(bytes / result.open).toBeLessThan(30_000);
      for (const child of children.splice(0)) child.kill("SIGKILL");
      await served();
    });

    it("class 11: a head of 60,000 bytes that come one by one costs little more than one at once", async () => {
      const head = `GET / HTTP/1.1\r\nHost: shop\r\nX: ${"y".repeat(FULL ? 59_000 : 15_000)}`;
      const script = join(import.meta.dirname, "clients/attack.py");
      const { result, bytes } = await growth(() =>
        run("python3-h2", [script, String(victim.port), "bytewise", "5"], `${head}\r\nConnection: close\r\n\r\n`),
      );
      const told = JSON.parse(result.out) as { sent: number; answers: readonly string[] };
      expect(told.answers).toEqual(["HTTP/1.1 200 OK"]);
      expect(bytes, `${told.sent} bytes sent`).toBeLessThan(WARM + AMPLIFICATION * told.sent);
      await served();
    });
  },
);
